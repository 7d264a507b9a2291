"""What changes make of limits and rates: each names the one that it changes, and leaves the rest.

Rules
- A change takes window, scope and enforcement from the limit that it names. One that names a limit
  that there is not, or not any more, does nothing.
- What is added to an unlimited limit leaves it unlimited; what is set takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Limit, LimitChange, RateChange, RateLimit
from sidecar.domain.entitlement.ceilings import (
    limit_plus_amount,
    limit_plus_pack,
    rate_plus,
    with_amount,
    with_speed,
)


def changed(
    before: EntitlementGrant, changes: EntitlementGrant, quantity: int = 1, *, once: bool = False
) -> EntitlementGrant:
    """What was granted before, with changes; what they add goes on top so many times.

    `once`: for all windows together, as packs do, instead of in each of them.
    """
    limits, rates = before.limits, before.rates
    if changes.limit_changes and limits:
        limits = tuple(
            _limit(limit, changes.limit_changes, quantity, once=once) for limit in limits
        )
    if changes.rate_changes and rates:
        rates = tuple(_rate(rate, changes.rate_changes, quantity) for rate in rates)
    overdraft = before.overdraft
    if changes.overdraft_change is not None:
        amount = changes.overdraft_change.amount * quantity
        kept = overdraft if changes.overdraft_change.adds else 0
        overdraft = min(INT64_MAX, kept + amount)
    return msgspec.structs.replace(before, limits=limits, rates=rates, overdraft=overdraft)


def meets(before: EntitlementGrant, changes: EntitlementGrant) -> bool:
    """Whether what was granted before has something that changes name, or is unlimited there.

    An overdraft is there, if it be 0.
    """
    limits = {limit.id for limit in before.limits}
    rates = {rate.id for rate in before.rates}
    return (
        changes.overdraft_change is not None
        or any(not limits or change.limit in limits for change in changes.limit_changes)
        or any(not rates or change.rate in rates for change in changes.rate_changes)
    )


def _limit(limit: Limit, changes: Iterable[LimitChange], quantity: int, *, once: bool) -> Limit:
    for change in changes:
        if change.limit != limit.id:
            continue
        amount = change.amount
        if once and amount is not None:
            limit = limit_plus_pack(limit, amount * quantity)
        elif change.adds:
            limit = limit_plus_amount(limit, None if amount is None else amount * quantity)
        else:
            limit = with_amount(limit, amount)
    return limit


def _rate(rate: RateLimit, changes: Iterable[RateChange], quantity: int) -> RateLimit:
    for change in changes:
        if change.rate != rate.id:
            continue
        if change.adds:
            rate = rate_plus(rate, change.count * quantity, change.burst * quantity)
        else:
            rate = with_speed(rate, change.count, change.burst)
    return rate
