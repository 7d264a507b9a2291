"""The decision: a pure function of what is asked and what has been used.

Rules
- Every limit and every rate that applies is evaluated; the quantity counts on all of them or none.
- HARD never passes its amount. SOFT passes and marks the overage. THROTTLE passes as fast as its
  rate lets what is above the amount. SHADOW never denies and reports. A rate lets pass what
  conforms. What was carried into a window may be used beyond the amount.
- Denied: the binding limit is the denying one that lets pass last, since waiting for it is waiting
  for all. Allowed: the one with the least left; a SHADOW limit only where there is no other, and a
  rate only where there is no limit.
- Waiting helps only where every denying limit will let the quantity pass: where the window is still
  to end and the quantity fits into an empty one, or the rate's burst holds it. What will be carried
  into the next window is not known yet, and left out.
- Up to what is left: only what has nothing left denies.
- A limit for each request has nothing counted on it: it denies, or says what lies above it, and is
  named where it denies alone.
- An exact limit passes what it has and its lease covers. Where only a lease has too little, the
  reason is LEASE_UNAVAILABLE: whether the limit has enough can't be told here. A limit or rate that
  has too little itself comes before, and so does one of which the plane has said so.
- Usage that a counter cannot show stays at 2^63-1, and the rules above go on from there: whatever
  others are said to have used, no request is refused for the size of a number.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Enforcement, Limit
from sidecar.domain.limits.decision import Decision, ThresholdWarning
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import Headroom, QuotaUsage

_SOFT = Enforcement.SOFT
_SHADOW = Enforcement.SHADOW
_THROTTLE = Enforcement.THROTTLE
_UNLEASED = Reason.LEASE_UNAVAILABLE


def decide(
    quantity: int,
    mode: GrantMode,
    usages: Sequence[QuotaUsage],
    now_us: int,
    rates: Sequence[RateUsage] = (),
) -> Decision:
    """Decide about a quantity (0 to 2^63-1, in the feature's unit) against limits and usage.

    What is granted has to be counted on every limit, and to fill the buckets as `after` says.
    """
    past: list[QuotaUsage] = []
    for usage in usages:
        amount, lease = usage.limit.amount, usage.lease
        if amount is not None and (
            usage.used + quantity > amount + usage.carried
            or (lease is not None and quantity > lease.left)
        ):
            past.append(usage)
    if not past and not rates:
        return _allow(quantity, usages, Reason.ALLOWED)
    needed = min(quantity, 1) if mode is GrantMode.UP_TO else quantity
    granted = quantity
    denying: list[QuotaUsage | RateUsage] = []
    candidates: list[QuotaUsage | RateUsage] = [*past, *rates]
    for candidate in candidates:
        enforcement = candidate.enforcement
        if enforcement is _SOFT or enforcement is _SHADOW:
            continue
        if not candidate.lets_pass(needed):
            denying.append(candidate)
        if mode is GrantMode.UP_TO:
            granted = min(granted, candidate.left)
    wanted = max(granted, needed)
    shadow_denials = tuple(
        candidate.id
        for candidate in candidates
        if candidate.enforcement is _SHADOW and not candidate.lets_pass(wanted)
    )
    if not denying:
        return _allow(granted, usages, Reason.ALLOWED, shadow_denials, rates)
    certain = [headroom for headroom in denying if headroom.denial(needed) is not _UNLEASED]
    denying = certain or denying
    binding = max(denying, key=lambda headroom: _passes_again(headroom, needed, now_us))
    reason = binding.denial(needed)
    if mode is GrantMode.RECORD_ONLY:
        decision = _allow(quantity, usages, reason, shadow_denials, rates)
        refused = {headroom.id for headroom in denying}
        let_pass = tuple(name for name in decision.throttled if name not in refused)
        return msgspec.structs.replace(decision, throttled=let_pass)
    waits = [headroom.wait_us(needed, now_us) for headroom in denying]
    retry_after_us = None if None in waits else max(wait for wait in waits if wait is not None)
    return Decision(False, reason, 0, binding, retry_after_us, (), shadow_denials, 0)


def decide_unmetered(reason: Reason) -> Decision:
    """The decision where there is nothing to count: the feature may be used, or may not, at all."""
    return _UNMETERED[reason]


def _allow(
    granted: int,
    usages: Sequence[QuotaUsage],
    reason: Reason,
    shadow_denials: tuple[str, ...] = (),
    rates: Sequence[RateUsage] = (),
) -> Decision:
    binding: QuotaUsage | None = None
    least = (True, 0)
    above: list[tuple[Limit, int]] = []
    warnings: tuple[ThresholdWarning, ...] = ()
    for usage in usages:
        limit = usage.limit
        amount = limit.amount
        if amount is None:
            continue
        after = usage.used + granted
        ceiling = amount + usage.carried
        left = ceiling - after
        if left < 0:
            above.append((limit, min(granted, -left)))
        if not limit.is_counted:
            continue
        rank = (limit.enforcement is _SHADOW, left)
        if binding is None or rank < least:
            binding, least = usage, rank
        percents = limit.warning_percents
        if percents and after * 100 >= ceiling * percents[0]:
            warnings += _crossed(usage, ceiling, after)
    named = _named_after(binding, usages, rates, granted)
    if not above:
        return Decision(True, reason, granted, named, None, warnings, shadow_denials)
    return Decision(True, reason, granted, named, None, warnings, shadow_denials, *_passed(above))


def _passed(above: Sequence[tuple[Limit, int]]) -> tuple[int, tuple[str, ...]]:
    """Overage, and names of THROTTLE limits, from limits and what of a request lies above them."""
    overage = max((part for limit, part in above if limit.enforcement is _SOFT), default=0)
    throttled = tuple(limit.id for limit, part in above if limit.enforcement is _THROTTLE and part)
    return overage, throttled


def _named_after(
    binding: QuotaUsage | None,
    usages: Sequence[QuotaUsage],
    rates: Sequence[RateUsage],
    granted: int,
) -> QuotaUsage | RateUsage | None:
    """What an answer names, as it is after counting: unlimited limits only for want of others."""
    if binding is None:
        binding = next((usage for usage in usages if usage.limit.is_counted), None)
    if binding is not None:
        return binding.after(granted)
    return _tightest_after(rates, granted) if rates else None


def _tightest_after(rates: Sequence[RateUsage], granted: int) -> RateUsage:
    after = [rate.after(granted) for rate in rates]
    return min(after, key=lambda rate: (rate.enforcement is _SHADOW, rate.left))


def _passes_again(headroom: Headroom, needed: int, now_us: int) -> tuple[int, int]:
    """When a denying limit lets pass again; of two at once, the one with less left comes later."""
    wait = headroom.wait_us(needed, now_us)
    return (FOREVER_US if wait is None else now_us + wait), -headroom.left


def _crossed(usage: QuotaUsage, ceiling: int, after: int) -> tuple[ThresholdWarning, ...]:
    """Thresholds that lie above the usage before and at or below the usage after."""
    limit = usage.limit
    return tuple(
        ThresholdWarning(limit.id, percent)
        for percent in limit.warning_percents
        if usage.used * 100 < ceiling * percent <= after * 100
    )


_UNMETERED = {reason: Decision(reason is Reason.ALLOWED, reason, 0) for reason in Reason}
