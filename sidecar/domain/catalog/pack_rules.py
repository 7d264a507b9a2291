"""What packs must fulfil: add-ons whose amounts are given once, and last until they are used.

Rules
- A pack gives amounts of METERED features, and nothing that cannot be used up.
- What it gives goes to limits that have one counter: for each value of a dimension there would have
  to be a pack.
- Every plan that it is sold with counts alike what it adds to: on another counter nothing of it
  would be used, so that a change of the plan would give all of it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from sidecar.domain.catalog.bases import Bases, OwnedLimit
from sidecar.domain.catalog.model import AddOn, AddOnEntitlement, EntitlementGrant, Limit, Merge
from sidecar.domain.formatting import window_text
from sidecar.domain.time.windows import WindowUnit
from sidecar.domain.validation import RuleProblem, below

_USED_UP: Final = "a pack (once) gives amounts, which are used up"
_PER_REQUEST: Final = "a limit for each request counts nothing that a pack could be used up by"
_APART: Final = "or say plans: [...] that it is sold with, and sell another pack with the others"


def pack_problems(add_on: AddOn) -> Iterator[RuleProblem]:
    """Yield what of an add-on, if it is a pack, is no pack; looked at by itself."""
    if not add_on.once:
        return
    if not add_on.entitlements:
        yield RuleProblem(("once",), f"{_USED_UP}: this one gives none")
    for at, given in enumerate(add_on.entitlements):
        yield from below(("entitlements", at), _given_problems(given))


def pack_base_problems(grant: EntitlementGrant, met: Iterable[Bases]) -> Iterator[RuleProblem]:
    """Yield which limits that a pack names it cannot add to; `met`: what it is sold with."""
    bases = list(met)
    for at, change in enumerate(grant.limit_changes):
        path = ("limit_changes", at)
        first: OwnedLimit | None = None
        for owned in (each for basis in bases for each in basis.limits_named(change.limit)):
            if owned.limit.window.unit is WindowUnit.REQUEST:
                yield RuleProblem(path, f"{change.limit!r} of {owned.owner}: {_PER_REQUEST}")
                break
            if owned.limit.scope.dimensions:
                each = ", ".join(owned.limit.scope.dimensions)
                message = (
                    f"{owned.owner} counts {change.limit!r} for each {each}: "
                    "a pack is for limits without each"
                )
                yield RuleProblem(path, message)
                break
            if first is not None and first.kind != owned.kind:
                yield RuleProblem(path, _counted_apart(change.limit, first, owned))
                break
            first = first or owned


def _given_problems(given: AddOnEntitlement) -> Iterator[RuleProblem]:
    grant = given.grant
    path = ("entitlement",)
    if given.merge is not Merge.INCREMENT:
        yield RuleProblem(("merge",), f"{_USED_UP}: it replaces nothing")
    for name in ("rates", "rate_changes"):
        if getattr(grant, name):
            yield RuleProblem((*path, name, 0), f"{_USED_UP}: a rate is not")
    if not grant.limits and not grant.limit_changes:
        yield RuleProblem(path, f"{_USED_UP}: {grant.feature!r} has none here")
    for at, change in enumerate(grant.limit_changes):
        if change.amount is None:
            message = f"{_USED_UP}: unlimited is not"
            yield RuleProblem((*path, "limit_changes", at, "amount"), message)
    for at, limit in enumerate(grant.limits):
        yield from below((*path, "limits", at), _limit_problems(limit))


def _limit_problems(limit: Limit) -> Iterator[RuleProblem]:
    if limit.amount is None:
        yield RuleProblem(("amount",), f"{_USED_UP}: unlimited is not")
    if limit.scope.dimensions:
        yield RuleProblem(("scope",), "a pack is for limits without each")
    if limit.window.unit is WindowUnit.REQUEST:
        yield RuleProblem(("window",), _PER_REQUEST)
    if limit.rollover is not None:
        message = "a pack lasts until it is used: there is nothing that rolls over"
        yield RuleProblem(("rollover",), message)


def _counted_apart(name: str, one: OwnedLimit, other: OwnedLimit) -> str:
    window, other_window = window_text(one.limit.window), window_text(other.limit.window)
    if window == other_window:
        counts = f"other usage in {one.owner} than in {other.owner}"
    else:
        counts = f"per {window} in {one.owner} and per {other_window} in {other.owner}"
    return (
        f"limit {name!r} counts {counts}, so that a change of the plan would give the pack again: "
        f"count alike, {_APART}"
    )
