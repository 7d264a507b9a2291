"""What of a level is billed: its peak in a window, and its average weighted by time. Exact.

Rules
- The level at an instant is what all changes up to and of that instant make of it, never below
  nothing. So changes of one instant count together, in whatever order they came.
- The peak is the highest level in the window; what was in use when it began counts as well.
- The average is an exact fraction: units times microseconds, by the window's length, up to where it
  has come while it runs.
- A report that comes late changes the bill of the window of its event: after 35 days none does.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Final, NamedTuple

import msgspec

_AVERAGE_DIGITS: Final = 6


class ChangeAt(NamedTuple):
    """By how much a level changed at an instant, in the feature's unit."""

    at_us: int
    amount: int


class LevelBill(msgspec.Struct, frozen=True):
    """A level in [start, until), in the feature's unit; instants in microseconds.

    `opening`: when it began. `unit_us`: the sum of the level over its microseconds.
    """

    start_us: int
    until_us: int
    opening: int
    peak: int
    unit_us: int

    @property
    def average(self) -> Fraction:
        """The average weighted by time; 0 where no time has gone by."""
        length_us = self.until_us - self.start_us
        return Fraction(self.unit_us, length_us) if length_us else Fraction(0)


def bill_of(start_us: int, until_us: int, before: int, changes: Iterable[ChangeAt]) -> LevelBill:
    """The bill of a stretch of time. `before`: the sum of all changes up to its start, and of it.

    `changes`: behind the start and before the end, one for each instant, in their order.
    """
    level, at_us = before, start_us
    opening = peak = max(0, before)
    unit_us = 0
    for change_us, amount in changes:
        unit_us += max(0, level) * (change_us - at_us)
        level, at_us = level + amount, change_us
        peak = max(peak, level)
    unit_us += max(0, level) * (until_us - at_us)
    return LevelBill(start_us, until_us, opening, peak, unit_us)


def average_text(average: Fraction) -> str:
    """An average for people, to a millionth, a half rounded up: exact where it can be."""
    scale = 10**_AVERAGE_DIGITS
    millionths = (2 * average.numerator * scale + average.denominator) // (2 * average.denominator)
    whole, rest = divmod(millionths, scale)
    return f"{whole}.{rest:0{_AVERAGE_DIGITS}d}".rstrip("0").rstrip(".")
