"""The decision: a pure function of what is asked and what has been used.

Rules
- Every limit that applies is evaluated; the quantity counts on all of them or on none.
- HARD never passes its amount. SOFT passes and marks the overage. SHADOW never denies and reports.
- Denied: the binding limit is the denying one that resets last, since waiting for it is waiting
  for all. Allowed: the one with the least left;
  a SHADOW limit only where there is no other.
- Waiting helps only where the window of every denying limit is still to end and the quantity fits
  into an empty one of each.
- Up to what is left: only a limit that has nothing left denies.
"""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.catalog import Enforcement
from sidecar.domain.decision import Decision, Gauge, GrantMode, Reason, ThresholdWarning
from sidecar.domain.errors import OutOfRange

_HARD = Enforcement.HARD
_SOFT = Enforcement.SOFT
_SHADOW = Enforcement.SHADOW


def decide(quantity: int, mode: GrantMode, gauges: Sequence[Gauge], now_us: int) -> Decision:
    """Decide about a quantity (0 to 2^63-1, in the feature's unit) against limits and usage.

    Raises `OutOfRange` where a counter could not hold the sum of what would be counted.
    """
    past: list[Gauge] = []
    for gauge in gauges:
        amount = gauge.limit.amount
        if amount is not None and gauge.used + quantity > amount:
            past.append(gauge)
    if not past:
        return _allow(quantity, gauges, Reason.ALLOWED, ())
    needed = min(quantity, 1) if mode is GrantMode.UP_TO else quantity
    granted = quantity
    denying: list[Gauge] = []
    for gauge in past:
        if gauge.limit.enforcement is _HARD:
            left = gauge.remaining or 0
            if left < needed:
                denying.append(gauge)
            if mode is GrantMode.UP_TO:
                granted = min(granted, left)
    shadow_denials = tuple(
        gauge.limit.id
        for gauge in past
        if gauge.limit.enforcement is _SHADOW and (gauge.remaining or 0) < max(granted, needed)
    )
    if not denying:
        return _allow(granted, gauges, Reason.ALLOWED, shadow_denials)
    if mode is GrantMode.REGARDLESS:
        return _allow(quantity, gauges, Reason.LIMIT_EXCEEDED, shadow_denials)
    return _deny(needed, denying, shadow_denials, now_us)


def decide_unmetered(reason: Reason) -> Decision:
    """The decision where there is nothing to count: the feature may be used, or may not, at all."""
    return _UNMETERED[reason]


def _allow(
    granted: int, gauges: Sequence[Gauge], reason: Reason, shadow_denials: tuple[str, ...]
) -> Decision:
    binding: Gauge | None = None
    least = (True, 0)
    overage = 0
    warnings: tuple[ThresholdWarning, ...] = ()
    for gauge in gauges:
        limit = gauge.limit
        amount = limit.amount
        after = gauge.used + granted
        if after > INT64_MAX:
            raise OutOfRange("quantity", f"would overflow the counter of limit {limit.id}")
        if amount is None:
            continue
        left = amount - after
        rank = (limit.enforcement is _SHADOW, left)
        if binding is None or rank < least:
            binding, least = gauge, rank
        if limit.enforcement is _SOFT and left < 0:
            overage = max(overage, min(granted, -left))
        percents = limit.warning_percents
        if percents and after * 100 >= amount * percents[0]:
            warnings += _crossed(gauge, after)
    if binding is None and gauges:
        binding = gauges[0]
    if binding is not None:
        binding = Gauge(binding.limit, binding.window, binding.used + granted, binding.values)
    return Decision(True, reason, granted, binding, None, warnings, shadow_denials, overage)


def _deny(
    needed: int, denying: Sequence[Gauge], shadow_denials: tuple[str, ...], now_us: int
) -> Decision:
    binding = max(denying, key=lambda gauge: (gauge.window.end_us, -(gauge.remaining or 0)))
    retry_after_us: int | None = binding.window.end_us - now_us
    for gauge in denying:
        if not now_us < gauge.window.end_us < FOREVER_US or needed > (gauge.limit.amount or 0):
            retry_after_us = None
    return Decision(False, Reason.LIMIT_EXCEEDED, 0, binding, retry_after_us, (), shadow_denials, 0)


def _crossed(gauge: Gauge, after: int) -> tuple[ThresholdWarning, ...]:
    """Thresholds that lie above the usage before and at or below the usage after."""
    limit = gauge.limit
    amount = limit.amount or 0
    return tuple(
        ThresholdWarning(limit.id, percent)
        for percent in limit.warning_percents
        if gauge.used * 100 < amount * percent <= after * 100
    )


_UNMETERED = {reason: Decision(reason is Reason.ALLOWED, reason, 0) for reason in Reason}
