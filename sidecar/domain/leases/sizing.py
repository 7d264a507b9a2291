"""Sizing: how much a sidecar asks for of a counter, when it asks for more, and how far ahead.

Quantities are in the feature's unit. Demand is what is used of a counter at this sidecar, smoothed:
quantity for each 1,000 seconds, so that it is an integer also where little is used.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.time.units import MINUTE_US, SECOND_US
from sidecar.domain.time.windows import LIFETIME_END_US, Window

NO_REFILL: Final = INT64_MAX
"""Usage from which on more is asked for where asking has just brought nothing: never."""
_DEMAND_SPAN_US: Final = 1_000 * SECOND_US
_SMOOTHING_US: Final = SECOND_US
"""What was used is taken to have been used in no less time than this, lest one call looks like a
thousand a second."""
_SAFETY: Final = 2
_CALLS_MIN: Final = 8
"""Calls like the last one that a lease is to do for, however seldom they come."""
_AMOUNT_PART: Final = 200
"""The part of the limit's amount that a lease is of at least, where there is enough: so nobody
misses the plane for a while, not even where calls come seldom."""
_LEAD_US_MAX: Final = MINUTE_US
_LEAD_PART: Final = 10


def smoothed(demand: int, quantity: int, elapsed_us: int) -> int:
    """The demand after a quantity was used in some time, at least 0."""
    quantity, elapsed_us = max(0, quantity), max(0, elapsed_us)
    weighed = demand * _SMOOTHING_US + quantity * _DEMAND_SPAN_US
    return min(INT64_MAX, weighed // (_SMOOTHING_US + elapsed_us))


def wanted(need: int, demand: int, quantity: int, horizon_us: int, amount: int = 0) -> int:
    """What would do for a while, on top of what was used; at least what a call needs.

    `quantity`: of a call, as the last one that was seen had it. `horizon_us`: the while. `amount`:
    of the limit, 0 where it is not known.
    """
    ahead = -(-demand * horizon_us * _SAFETY // _DEMAND_SPAN_US)
    most = max(need, ahead + quantity, quantity * _CALLS_MIN, amount // _AMOUNT_PART)
    return min(INT64_MAX, most)


def refill_at(held: int, granted: int, used: int) -> int:
    """From which usage on more is asked for: half of what a lease has left, at most.

    `held`: what it reached to before. Where it reaches no further, the plane had no more to give:
    asking again and again would bring nothing, until a call cannot do without.
    """
    if granted <= held:
        return NO_REFILL
    return granted - max(1, (granted - used) // 2)


def lead_us(window: Window) -> int:
    """How long before a window's end the next one's lease is asked for; 0 where none follows."""
    if window.end_us == LIFETIME_END_US:
        return 0
    return min(_LEAD_US_MAX, (window.end_us - window.start_us) // _LEAD_PART)
