"""How an add-on's own limits and rates are added to what is granted: arithmetic of grants.

An add-on may name the limits that it adds to instead: see `limit_changes`.

Rules
- An amount of an add-on goes to every limit that counts the same thing (equal window and scope),
  whatever its enforcement. Of several such limits of one add-on, that of the same enforcement is
  meant, else the first. Rates of equal scope and period are added likewise.
- What counts something else applies beside, as far as the bound on limits and on rates goes, under
  a name that is free: answers tell limits and rates apart by it.
- What may be owed is added, too.
- Unlimited plus anything is unlimited. A grant without limits and rates is unlimited; it leaves
  rates of others, which say how fast and not how much.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from itertools import count
from typing import TypeVar

import msgspec

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX, LIMITS_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Limit, RateLimit
from sidecar.domain.company.model import AddOnSubscription
from sidecar.domain.entitlement.ceilings import (
    as_pack,
    limit_plus,
    limit_times,
    rate_plus,
    rate_times,
)
from sidecar.domain.limits.counters import slot_of

_Ceiling = TypeVar("_Ceiling", Limit, RateLimit)


def scaled(grant: EntitlementGrant, quantity: int) -> EntitlementGrant:
    """A grant, held so many times: every amount and rate times the quantity."""
    if quantity == 1:
        return grant
    return msgspec.structs.replace(
        grant,
        limits=tuple(limit_times(limit, quantity) for limit in grant.limits),
        rates=tuple(rate_times(rate, quantity) for rate in grant.rates),
        overdraft=min(INT64_MAX, grant.overdraft * quantity),
    )


def packed(grant: EntitlementGrant) -> EntitlementGrant:
    """A grant whose amounts are given once, for all windows together."""
    return msgspec.structs.replace(grant, limits=tuple(map(as_pack, grant.limits)))


def increased(
    before: EntitlementGrant,
    added: EntitlementGrant,
    add_on_subscription: AddOnSubscription,
    *,
    once: bool = False,
) -> EntitlementGrant:
    """What was granted before, and an add-on's grant of the same feature on top."""
    more = scaled(added, add_on_subscription.quantity)
    if once:
        more = packed(more)
    taken = {limit.id for limit in before.limits} | {rate.id for rate in before.rates}

    def name(ceiling: str) -> str:
        return _free_name(ceiling, taken, add_on_subscription.add_on)

    limits, rates = before.limits, before.rates
    if not more.limits and not more.rates:
        limits = ()
    elif limits:
        limits = _joined(limits, more.limits, slot_of, limit_plus, name)
    if rates:
        rates = _joined(rates, more.rates, _measure_of, _rate_plus, name)
    overdraft = min(INT64_MAX, before.overdraft + more.overdraft)
    return msgspec.structs.replace(before, limits=limits, rates=rates, overdraft=overdraft)


def _joined(
    before: Sequence[_Ceiling],
    more: Sequence[_Ceiling],
    kind_of: Callable[[_Ceiling], Hashable],
    plus: Callable[[_Ceiling, _Ceiling], _Ceiling],
    name: Callable[[str], str],
) -> tuple[_Ceiling, ...]:
    """What was there before, increased, and after it what counts something else."""
    by_kind: dict[Hashable, list[_Ceiling]] = {}
    for added in more:
        by_kind.setdefault(kind_of(added), []).append(added)
    ceilings: list[_Ceiling] = []
    met: set[Hashable] = set()
    for ceiling in before:
        kind = kind_of(ceiling)
        met.add(kind)
        same = by_kind.get(kind)
        ceilings.append(plus(ceiling, _counterpart(ceiling, same)) if same else ceiling)
    beside = [added for added in more if kind_of(added) not in met][: LIMITS_MAX - len(ceilings)]
    ceilings += [msgspec.structs.replace(added, id=name(added.id)) for added in beside]
    return tuple(ceilings)


def _counterpart(ceiling: _Ceiling, others: Sequence[_Ceiling]) -> _Ceiling:
    alike = [other for other in others if other.enforcement is ceiling.enforcement]
    return alike[0] if alike else others[0]


def _free_name(name: str, taken: set[str], add_on: str) -> str:
    """The name, or one made of it and the add-on's key; it is taken then."""
    free = name
    for number in count(1):
        if free not in taken:
            break
        end = "" if number == 1 else f".{number}"
        start = f"{add_on}.{name}".encode()[: IDENTIFIER_BYTES_MAX - len(end)]
        free = start.decode(errors="ignore") + end
    taken.add(free)
    return free


def _measure_of(rate: RateLimit) -> Hashable:
    return rate.scope, rate.rate.period_us


def _rate_plus(limit: RateLimit, more: RateLimit) -> RateLimit:
    return rate_plus(limit, more.rate.count, more.rate.burst)
