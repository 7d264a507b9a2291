"""What changes of limits and rates must fulfil, each looked at by itself."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.domain import bounds
from sidecar.domain.catalog.model import EntitlementGrant, LimitChange, Merge, RateChange
from sidecar.domain.validation import (
    Path,
    RuleProblem,
    below,
    count_problems,
    identifier_problems,
    number_problems,
    repeated_problems,
)


def changes_problems(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    """Yield what is wrong with the changes of a grant."""
    limits, rates = grant.limit_changes, grant.rate_changes
    yield from count_problems(("limit_changes",), limits, bounds.LIMITS_MAX)
    for at, change in enumerate(limits):
        yield from below(("limit_changes", at), _limit_change_problems(change))
    names = [change.limit for change in limits]
    yield from repeated_problems(("limit_changes",), ("limit",), names)
    yield from count_problems(("rate_changes",), rates, bounds.LIMITS_MAX)
    for at, rate_change in enumerate(rates):
        yield from below(("rate_changes", at), _rate_change_problems(rate_change))
    names = [rate_change.rate for rate_change in rates]
    yield from repeated_problems(("rate_changes",), ("rate",), names)
    if grant.overdraft_change is not None:
        amount = grant.overdraft_change.amount
        yield from number_problems(("overdraft_change", "amount"), amount, 0, bounds.INT64_MAX)
    if grant.is_change and (grant.limits or grant.rates or grant.overdraft or grant.low_balance):
        message = "changes what is granted already, or is granted instead: not both at once"
        yield RuleProblem(first_change(grant), message)


def first_change(grant: EntitlementGrant) -> Path:
    """Where the first change of a grant stands."""
    if grant.limit_changes:
        return ("limit_changes", 0)
    return ("rate_changes", 0) if grant.rate_changes else ("overdraft_change",)


def no_changes_problems(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    """Yield that a plan changes something: there is nothing before it."""
    if grant.is_change:
        yield RuleProblem(first_change(grant), "a plan grants whole limits, it changes none")


def increments_problems(grant: EntitlementGrant, merge: Merge) -> Iterator[RuleProblem]:
    """Yield which changes of an add-on do not add: it makes nothing smaller."""
    if grant.is_change and merge is Merge.OVERRIDE:
        message = "what replaces needs whole limits, with their windows (per)"
        yield RuleProblem(first_change(grant), message)
    adds = [("limit_changes", at, change.adds) for at, change in enumerate(grant.limit_changes)]
    adds += [("rate_changes", at, change.adds) for at, change in enumerate(grant.rate_changes)]
    for name, at, does_add in adds:
        if not does_add:
            yield RuleProblem((name, at, "adds"), "an add-on adds, it sets nothing")
    if grant.overdraft_change is not None and not grant.overdraft_change.adds:
        yield RuleProblem(("overdraft_change", "adds"), "an add-on adds, it sets nothing")


def _limit_change_problems(change: LimitChange) -> Iterator[RuleProblem]:
    yield from identifier_problems(("limit",), change.limit)
    if change.amount is not None:
        yield from number_problems(("amount",), change.amount, 0, bounds.INT64_MAX)


def _rate_change_problems(change: RateChange) -> Iterator[RuleProblem]:
    yield from identifier_problems(("rate",), change.rate)
    most = bounds.RATE_PRODUCT_MAX // bounds.RATE_PERIOD_US_MIN
    for name, quantity in (("count", change.count), ("burst", change.burst)):
        yield from number_problems((name,), quantity, 1, most)
