"""Whether a grant that takes the place of another one lets less pass.

Compared is what counts the same: limits of equal window and scope, rates of equal scope and period.
Whether a limit of 100 a day is less than one of 1,000 a month depends on the usage.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from sidecar.domain.catalog.bases import OwnedGrant, limit_kind, rate_kind
from sidecar.domain.catalog.model import Enforcement, EntitlementGrant, Limit, Rate, RateLimit
from sidecar.domain.catalog.pointless_limits import least_of, most_of
from sidecar.domain.formatting import amount_text, rate_text
from sidecar.domain.validation import Path, RuleProblem

_ENFORCED: Final = (Enforcement.HARD, Enforcement.THROTTLE)


class Replaced(NamedTuple):
    """What is odd where a grant takes another's place. `is_less`: for certain."""

    problem: RuleProblem
    is_less: bool


def lessened(basis: OwnedGrant, after: EntitlementGrant) -> Iterator[Replaced]:
    """Yield what of a grant lets less pass than one whose place it takes, or perhaps does."""
    before = basis.grant
    alike = _by_kind(before.limits)
    for at, limit in enumerate(after.limits):
        if limit.enforcement in _ENFORCED and least_of(limit) is not None:
            path = ("limits", at)
            yield from _of_limit(path, basis, limit, alike.get(limit_kind(limit)))
    for at, rate in enumerate(after.rates):
        if rate.enforcement is Enforcement.HARD:
            same = [other for other in before.rates if rate_kind(other) == rate_kind(rate)]
            yield from _of_rate(("rates", at), basis, rate, same)


def _by_kind(limits: Sequence[Limit]) -> dict[Hashable, list[Limit]]:
    found: defaultdict[Hashable, list[Limit]] = defaultdict(list)
    for limit in limits:
        found[limit_kind(limit)].append(limit)
    return found


def _of_limit(
    path: Path, basis: OwnedGrant, limit: Limit, alike: Sequence[Limit] | None
) -> Iterator[Replaced]:
    if not basis.grant.limits:
        message = f"grants less than {basis.owner}, which it replaces: that is unlimited"
        yield Replaced(RuleProblem(path, message), is_less=True)
    elif alike is None:
        names = _names(basis.grant.limits)
        message = f"may deny what {basis.owner} allows, which it replaces: that has {names}"
        yield Replaced(RuleProblem(path, message), is_less=False)
    elif all(_is_weaker(other, limit) for other in alike):
        other = alike[0]
        message = (
            f"grants less than limit {other.id!r} ({amount_text(other.amount)}, "
            f"{other.enforcement.name}) of {basis.owner}, which it replaces"
        )
        yield Replaced(RuleProblem(path, message), is_less=True)
    elif all(_carries_more(other, limit) for other in alike):
        message = f"grants less than {basis.owner}, which it replaces, where that rolls over"
        yield Replaced(RuleProblem(path, message), is_less=False)


def _of_rate(
    path: Path, basis: OwnedGrant, rate: RateLimit, alike: Sequence[RateLimit]
) -> Iterator[Replaced]:
    if not alike:
        message = f"may deny what {basis.owner} allows, which it replaces: that has no such rate"
        yield Replaced(RuleProblem(path, message), is_less=False)
    elif all(_is_slower(other, rate) for other in alike):
        message = (
            f"grants less than rate {alike[0].id!r} ({rate_text(alike[0].rate)}) "
            f"of {basis.owner}, which it replaces"
        )
        yield Replaced(RuleProblem(path, message), is_less=True)


def _is_weaker(before: Limit, after: Limit) -> bool:
    """Whether some usage passes a limit and not the other, which is enforced."""
    if before.enforcement not in _ENFORCED:
        return True
    throttle = before.throttle
    if throttle is not None and (after.throttle is None or _slows(throttle, after.throttle)):
        return True
    own, others = dict(after.amounts), dict(before.amounts)
    return _is_below(after.amount, before.amount) or any(
        _is_below(own.get(value, after.amount), others.get(value, before.amount))
        for value in {*own, *others}
    )


def _is_below(after: int | None, before: int | None) -> bool:
    return after is not None and (before is None or after < before)


def _carries_more(before: Limit, after: Limit) -> bool:
    if before.rollover is None or before.rollover == after.rollover:
        return False
    most, amount = most_of(before), after.amount
    return amount is not None and (most is None or amount < most)


def _is_slower(before: RateLimit, after: RateLimit) -> bool:
    return before.enforcement is not Enforcement.HARD or _slows(before.rate, after.rate)


def _slows(before: Rate, after: Rate) -> bool:
    slower = Fraction(after.count, after.period_us) < Fraction(before.count, before.period_us)
    return slower or after.burst < before.burst


def _names(limits: Sequence[Limit]) -> str:
    return ", ".join(repr(limit.id) for limit in limits[:3]) + (", ..." if len(limits) > 3 else "")
