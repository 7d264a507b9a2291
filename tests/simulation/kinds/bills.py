"""What levels are billed, worked out anew from the lines of the ledger, instant by instant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING

from sidecar.control.services.levels import level_bill
from sidecar.domain.errors import TallydError
from sidecar.domain.time.units import MINUTE_US
from tests.simulation.kinds.level_book import Line

if TYPE_CHECKING:
    from tests.simulation.kinds.world import KindWorld


def bills_differ(world: KindWorld) -> str:
    """What bills of windows say otherwise than the ledger's lines; empty for nothing."""
    now_us, store = world.plane.now_us, world.plane.store
    booked, exceeded = world.book.booked()
    for level in sorted({line.level for line in booked} - exceeded):
        lines = [line for line in booked if line.level == level]
        first_us = min(world.starts_us, *(line.at_us for line in lines))
        for start_us in range(first_us // MINUTE_US * MINUTE_US, now_us, MINUTE_US):
            try:
                told = level_bill(store, *level, start_us, now_us).bill
            except TallydError as error:
                return f"{level} has no bill of {start_us}: {error}"
            bill = _billed(lines, start_us, min(start_us + MINUTE_US, now_us))
            if bill != (told.opening, told.peak, told.unit_us):
                return f"{level} at {start_us}: {bill} by the lines, billed {told}"
    return ""


def _billed(lines: Iterable[Line], start_us: int, until_us: int) -> tuple[int, int, int]:
    """What is in use when a window begins, at most in it, and the sum over its microseconds."""
    by_instant: Counter[int] = Counter()
    for line in lines:
        if line.at_us < until_us:
            by_instant[max(line.at_us, start_us)] += line.amount
    in_use = by_instant.pop(start_us, 0)
    opening = peak = max(0, in_use)
    sum_us, at_us = 0, start_us
    for instant_us in sorted(by_instant):
        sum_us += max(0, in_use) * (instant_us - at_us)
        in_use, at_us = in_use + by_instant[instant_us], instant_us
        peak = max(peak, in_use)
    return opening, peak, sum_us + max(0, in_use) * (until_us - at_us)
