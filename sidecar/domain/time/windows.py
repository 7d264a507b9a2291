"""Windows: the half-open spans of time ``[start, end)`` over which a limit counts.

A window layout is a row of boundaries ``anchor + k * interval units`` for every integer k, also
below zero. Each boundary is computed from the anchor, never from its neighbour, so the 31st comes
back after a short month: 31 January, 28 February, 31 March.

- ``ANCHORED`` layouts start from the anchor given, ``CALENDAR`` ones from 2001-01-01T00:00 in the
  time zone (a Monday; ``first_weekday`` moves WEEK), or from the Unix epoch for MINUTE and HOUR.
- MINUTE and HOUR have fixed lengths. DAY and longer step on the zone's wall clock: a boundary that
  the zone skips moves forward by the gap, one that occurs twice is its first occurrence. That holds
  for k = 0 too: an anchor that lies in the second pass of a repeated hour counts from the first.
- The window of an instant begins at the last boundary at or before it. Where a zone skips a whole
  day (Pacific/Apia, 30 December 2011), that day's window has no length, holds no instant and is
  never returned. So windows tile: each ends where the next one that is returned starts.
- A REQUEST is no stretch of time: what it allows is for one request, and nothing is counted.
- A LEVEL has no windows either: it is of what is in use now, which goes up and down for ever.
- Windows lie in ``[FIRST_INSTANT_US, END_INSTANT_US)``; one that sticks out is cut there.
"""

import enum
from calendar import monthrange
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Protocol
from zoneinfo import ZoneInfo

from sidecar.domain.time.units import DAY_US, EPOCH, HOUR_US, MINUTE_US, instant_of_datetime
from sidecar.domain.time.zones import instant_of_wall, load_zone, wall_of_instant

_EPOCH_ORDINAL: Final = EPOCH.toordinal()


def _year_start_us(year: int) -> int:
    return instant_of_datetime(datetime(year, 1, 1, tzinfo=UTC))


# A year inside what datetime holds, so that a zone's offset never leads out of it.
FIRST_INSTANT_US: Final = _year_start_us(2)
END_INSTANT_US: Final = _year_start_us(9999)

LIFETIME_START_US: Final = 0
LIFETIME_END_US: Final = 2**63 - 1

INTERVAL_MAX: Final = 1_000


class WindowUnit(enum.IntEnum):
    """The unit of a window's length; the numbers are stored, so they never change."""

    MINUTE = 1
    HOUR = 2
    DAY = 3
    WEEK = 4
    MONTH = 5
    QUARTER = 6
    YEAR = 7
    LIFETIME = 8
    REQUEST = 9
    LEVEL = 10


UNENDING: Final = frozenset({WindowUnit.LIFETIME, WindowUnit.REQUEST, WindowUnit.LEVEL})
"""Units whose windows do not end, and so have neither interval nor alignment."""


class Alignment(enum.IntEnum):
    """What a row of windows is counted from; the numbers are stored, so they never change."""

    CALENDAR = 1
    ANCHORED = 2


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """How a limit's windows are laid out, without the company's anchor and time zone.

    ``interval`` is the number of units in a window, 1 to 1000. ``first_weekday`` is 0 (Monday) to
    6 and moves CALENDAR weeks only. Units that do not end need neither interval nor alignment.
    Raises ``ValueError`` naming the field.
    """

    unit: WindowUnit
    interval: int = 1
    alignment: Alignment = Alignment.CALENDAR
    first_weekday: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.interval <= INTERVAL_MAX:
            raise ValueError(f"interval: must be 1 to {INTERVAL_MAX}, is {self.interval}")
        if not 0 <= self.first_weekday <= 6:
            raise ValueError(f"first_weekday: must be 0 to 6, is {self.first_weekday}")


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span ``[start_us, end_us)`` of instants."""

    start_us: int
    end_us: int

    @property
    def never_ends(self) -> bool:
        """Whether no instant is its end: LIFETIME, or a grant of credits without an expiry."""
        return self.end_us == LIFETIME_END_US


# Stands for all time, also for an instant before the epoch.
LIFETIME_WINDOW: Final = Window(LIFETIME_START_US, LIFETIME_END_US)

_FIXED_UNIT_US: Final = {WindowUnit.MINUTE: MINUTE_US, WindowUnit.HOUR: HOUR_US}
_UNIT_DAYS: Final = {WindowUnit.DAY: 1, WindowUnit.WEEK: 7}
_UNIT_MONTHS: Final = {WindowUnit.MONTH: 1, WindowUnit.QUARTER: 3, WindowUnit.YEAR: 12}
_CALENDAR_ANCHOR_WALL_US: Final = _year_start_us(2001)


def window_at(
    spec: WindowSpec, at_us: int, *, time_zone: str = "UTC", anchor_us: int | None = None
) -> Window:
    """Return the window that holds the instant ``at_us``.

    ``anchor_us`` is needed by ANCHORED windows and ignored by CALENDAR and LIFETIME ones.
    Raises ``ValueError`` naming the field: a missing anchor, an unknown time zone, an instant
    outside ``[FIRST_INSTANT_US, END_INSTANT_US)``.
    """
    zone = load_zone(time_zone)
    _check_instant("at_us", at_us)
    if spec.unit in UNENDING:
        return LIFETIME_WINDOW
    if spec.alignment == Alignment.CALENDAR:
        anchor_us = None
    elif anchor_us is None:
        raise ValueError("anchor_us: an ANCHORED window needs an anchor")
    else:
        _check_instant("anchor_us", anchor_us)
    unit_us = _FIXED_UNIT_US.get(spec.unit)
    if unit_us is not None:
        length_us = spec.interval * unit_us
        start_us = at_us - (at_us - (anchor_us or 0)) % length_us
        end_us = start_us + length_us
    else:
        start_us, end_us = _wall_clock_window(_layout(spec, zone, anchor_us), zone, at_us)
    return Window(max(start_us, FIRST_INSTANT_US), min(end_us, END_INSTANT_US))


def _check_instant(field: str, instant_us: int) -> None:
    if not FIRST_INSTANT_US <= instant_us < END_INSTANT_US:
        raise ValueError(f"{field}: must lie in the years 2 to 9998, is {instant_us}")


class _Layout(Protocol):
    """The boundaries of a row of windows on the wall clock, by their number k."""

    def boundary_wall_us(self, k: int) -> int: ...

    def k_near(self, wall_us: int) -> int:
        """Estimate the k of the last boundary at or before a wall time, to within one."""
        ...


@dataclass(frozen=True, slots=True)
class _DayLayout:
    anchor_wall_us: int
    step_us: int

    def boundary_wall_us(self, k: int) -> int:
        return self.anchor_wall_us + k * self.step_us

    def k_near(self, wall_us: int) -> int:
        return (wall_us - self.anchor_wall_us) // self.step_us


@dataclass(frozen=True, slots=True)
class _MonthLayout:
    anchor_wall_us: int
    step_months: int

    def boundary_wall_us(self, k: int) -> int:
        anchor_days, time_of_day_us = divmod(self.anchor_wall_us, DAY_US)
        anchor = date.fromordinal(anchor_days + _EPOCH_ORDINAL)
        year, month0 = divmod(anchor.year * 12 + anchor.month - 1 + k * self.step_months, 12)
        # The Gregorian calendar repeats every 400 years: any year works, not only 1 to 9999.
        cycles, like_year = year // 400 - 1, year % 400 + 400
        day = anchor.day
        if day > 28:
            day = min(day, monthrange(like_year, month0 + 1)[1])
        ordinal = date(like_year, month0 + 1, day).toordinal() + cycles * 146_097
        return (ordinal - _EPOCH_ORDINAL) * DAY_US + time_of_day_us

    def k_near(self, wall_us: int) -> int:
        months = _month_number(wall_us) - _month_number(self.anchor_wall_us)
        return months // self.step_months


def _month_number(wall_us: int) -> int:
    day = date.fromordinal(wall_us // DAY_US + _EPOCH_ORDINAL)
    return day.year * 12 + day.month


def _layout(spec: WindowSpec, zone: ZoneInfo, anchor_us: int | None) -> _Layout:
    if anchor_us is not None:
        anchor_wall_us = wall_of_instant(zone, anchor_us)
    elif spec.unit == WindowUnit.WEEK:
        anchor_wall_us = _CALENDAR_ANCHOR_WALL_US + spec.first_weekday * DAY_US
    else:
        anchor_wall_us = _CALENDAR_ANCHOR_WALL_US
    if spec.unit in _UNIT_DAYS:
        return _DayLayout(anchor_wall_us, spec.interval * _UNIT_DAYS[spec.unit] * DAY_US)
    return _MonthLayout(anchor_wall_us, spec.interval * _UNIT_MONTHS[spec.unit])


def _wall_clock_window(layout: _Layout, zone: ZoneInfo, at_us: int) -> tuple[int, int]:
    """Find the last boundary at or before ``at_us`` and the first one after it.

    The wall time of ``at_us`` gives k directly. Day of month, gaps and repeated hours put it off
    by a few at most, for boundaries lie a day or more apart on the wall clock and no zone jumps
    by more than a day.
    """
    k = layout.k_near(wall_of_instant(zone, at_us))
    start_us = instant_of_wall(zone, layout.boundary_wall_us(k))
    while start_us > at_us:
        k -= 1
        start_us = instant_of_wall(zone, layout.boundary_wall_us(k))
    end_us = instant_of_wall(zone, layout.boundary_wall_us(k + 1))
    while end_us <= at_us:
        k += 1
        start_us, end_us = end_us, instant_of_wall(zone, layout.boundary_wall_us(k + 1))
    return start_us, end_us
