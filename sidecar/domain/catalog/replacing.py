"""Whether a grant that takes the place of another one grants less.

Compared is what counts the same: limits of equal window and scope, rates of equal scope and period.
Whether a limit of 100 a day is less than one of 1,000 a month depends on the usage.

A limit or rate that takes another's place has to be at least that, and to get all that add-ons add
to the other one: what they add to a name goes with the name (`domain.catalog.added`).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Iterator, Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from sidecar.domain.catalog.added import Added
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


def lessened(
    basis: OwnedGrant, after: EntitlementGrant, added: Added, relation: str = "which it replaces"
) -> Iterator[Replaced]:
    """Yield what a grant grants less than one whose place it takes, or perhaps does.

    `added`: what is added to either of them; `relation`: how the one takes the other's place.
    """
    before = basis.grant
    compared = _Compared(basis, added, relation)
    alike = _by_kind(before.limits)
    for at, limit in enumerate(after.limits):
        if limit.enforcement is not Enforcement.SHADOW and least_of(limit) is not None:
            yield from compared.limit(("limits", at), limit, alike.get(limit_kind(limit)))
    for at, rate in enumerate(after.rates):
        if rate.enforcement is Enforcement.HARD:
            same = [other for other in before.rates if rate_kind(other) == rate_kind(rate)]
            yield from compared.rate(("rates", at), rate, same)
    if after.overdraft < before.overdraft:
        message = (
            f"lets less be owed than {basis.owner}, {relation}: that has an overdraft of "
            f"{before.overdraft}"
        )
        yield Replaced(RuleProblem(("overdraft",), message), is_less=True)


def _by_kind(limits: Sequence[Limit]) -> dict[Hashable, list[Limit]]:
    found: defaultdict[Hashable, list[Limit]] = defaultdict(list)
    for limit in limits:
        found[limit_kind(limit)].append(limit)
    return found


class _Compared(NamedTuple):
    """The grant whose place is taken, and what is said of that."""

    basis: OwnedGrant
    added: Added
    relation: str

    def limit(self, path: Path, limit: Limit, alike: Sequence[Limit] | None) -> Iterator[Replaced]:
        """Yield how a limit is less than those that count alike, `None` where none does."""
        owner, relation = self.basis.owner, self.relation
        if not self.basis.grant.limits:
            message = f"grants less than {owner}, {relation}: that is unlimited"
            yield Replaced(RuleProblem(path, message), is_less=True)
            return
        if alike is None:
            does = "deny" if limit.enforcement in _ENFORCED else "count as overage"
            names = _names(self.basis.grant.limits)
            message = f"may {does} what {owner} allows, {relation}: that has {names}"
            yield Replaced(RuleProblem(path, message), is_less=False)
            return
        enough = [other for other in alike if not _is_weaker(other, limit)]
        met = [other for other in enough if self.added.lost(other, limit) is None]
        if not enough:
            other = alike[0]
            message = (
                f"grants less than limit {other.id!r} ({amount_text(other.amount)}, "
                f"{other.enforcement.name}) of {owner}, {relation}"
            )
            yield Replaced(RuleProblem(path, message), is_less=True)
        elif not met:
            yield self._without_added(path, enough[0].id, self.added.lost(enough[0], limit))
        elif all(self._carries_more(other, limit) for other in met):
            message = f"grants less than {owner}, {relation}, where that rolls over"
            yield Replaced(RuleProblem(path, message), is_less=False)

    def rate(self, path: Path, rate: RateLimit, alike: Sequence[RateLimit]) -> Iterator[Replaced]:
        """Yield how a rate is less than those that measure alike."""
        owner, relation = self.basis.owner, self.relation
        enough = [other for other in alike if not _is_slower(other, rate)]
        if not alike:
            message = f"may deny what {owner} allows, {relation}: that has no such rate"
            yield Replaced(RuleProblem(path, message), is_less=False)
        elif not enough:
            message = (
                f"grants less than rate {alike[0].id!r} ({rate_text(alike[0].rate)}) "
                f"of {owner}, {relation}"
            )
            yield Replaced(RuleProblem(path, message), is_less=True)
        elif all(self.added.lost_rate(other, rate) is not None for other in enough):
            lost = self.added.lost_rate(enough[0], rate)
            yield self._without_added(path, enough[0].id, lost)

    def _without_added(self, path: Path, name: str, add_on: str | None) -> Replaced:
        message = (
            f"goes without what add-on {add_on!r} adds to {name!r} of {self.basis.owner}, "
            f"{self.relation}: name it {name!r}, with the same enforcement"
        )
        return Replaced(RuleProblem(path, message), is_less=True)

    def _carries_more(self, before: Limit, after: Limit) -> bool:
        rollover = before.rollover
        if rollover is None or rollover == after.rollover:
            return False
        if rollover.amount_max is None and self.added:
            return True  # what is added rolls over, too
        most, amount = most_of(before), after.amount
        return amount is not None and (most is None or amount < most)


def _is_weaker(before: Limit, after: Limit) -> bool:
    """Whether a limit denies usage, or counts it as overage, that another one does not."""
    if before.enforcement is Enforcement.SHADOW:
        return True
    softens = after.enforcement is Enforcement.SOFT and before.enforcement in _ENFORCED
    if after.enforcement in _ENFORCED and before.enforcement is Enforcement.SOFT:
        return True
    throttle = before.throttle
    slower = after.throttle is None or (throttle is not None and _slows(throttle, after.throttle))
    if throttle is not None and slower and not softens:
        return True
    own, others = dict(after.amounts), dict(before.amounts)
    amounts = [(after.amount, before.amount)]
    amounts += [
        (own.get(value, after.amount), others.get(value, before.amount))
        for value in {*own, *others}
    ]
    if softens:  # what was denied before is overage now
        return any(amount is not None and than is None for amount, than in amounts)
    return any(_is_below(amount, than) for amount, than in amounts)


def _is_below(after: int | None, before: int | None) -> bool:
    return after is not None and (before is None or after < before)


def _is_slower(before: RateLimit, after: RateLimit) -> bool:
    return before.enforcement is not Enforcement.HARD or _slows(before.rate, after.rate)


def _slows(before: Rate, after: Rate) -> bool:
    slower = Fraction(after.count, after.period_us) < Fraction(before.count, before.period_us)
    return slower or after.burst < before.burst


def _names(limits: Sequence[Limit]) -> str:
    return ", ".join(repr(limit.id) for limit in limits[:3]) + (", ..." if len(limits) > 3 else "")
