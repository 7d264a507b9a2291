"""Instants of a scenario: absolute, by the company's clocks, or counted from what was before."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from sidecar.domain.time.units import DAY_US, instant_of_datetime
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.domain.time.zones import instant_of_wall, wall_of_instant
from sidecar.shared.catalog_file.durations import duration_of_text
from sidecar.shared.catalog_file.instants import instant_of_text

_WALL: Final = re.compile(r"(\d{4}-\d{2}-\d{2})(?:[ T](\d{2}:\d{2}(?::\d{2})?))?", re.ASCII)
_DAY: Final = re.compile(r"day ([1-9][0-9]{0,4})(?: (\d{2}:\d{2}(?::\d{2})?))?", re.ASCII)


class ScenarioClock:
    """Reads instants: `2026-02-14T12:00:00Z`, `2026-02-14 12:00`, `day 15 12:00`, `+14d`.

    Dates and days are by the company's clocks; day 1 is the one on which the scenario starts.
    """

    def __init__(self, zone: ZoneInfo, starts_us: int = 0) -> None:
        self.zone = zone
        self.starts_us = starts_us

    def instant(self, text: str, before_us: int) -> int:
        """The instant of a text; what begins with a plus is counted from `before_us`.

        ValueError says what is wrong.
        """
        if text.startswith("+"):
            return _within_time(before_us + duration_of_text(text[1:].strip()), text)
        if found := _DAY.fullmatch(text):
            midnight_us = wall_of_instant(self.zone, self.starts_us) // DAY_US * DAY_US
            clock_us = _wall(f"1970-01-01 {found[2] or '00:00'}", text)
            day_us = midnight_us + (int(found[1]) - 1) * DAY_US
            return _within_time(instant_of_wall(self.zone, day_us + clock_us), text)
        return self.absolute(text)

    def absolute(self, text: str) -> int:
        """The same without what is counted from something."""
        if found := _WALL.fullmatch(text):
            return instant_of_wall(self.zone, _wall(f"{found[1]} {found[2] or '00:00'}", text))
        try:
            return instant_of_text(text)
        except ValueError as error:
            message = f"{error}; 2026-01-31, 2026-01-31 12:00, day 14 12:00 and +3d are fine, too"
            raise ValueError(message) from None


def is_relative(text: str) -> bool:
    """Whether a text is an instant that only a scenario knows."""
    return text.startswith("+") or bool(_DAY.fullmatch(text) or _WALL.fullmatch(text))


def _wall(text: str, told: str) -> int:
    try:
        return instant_of_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        raise ValueError(f"{told!r} is not a time that the calendar has") from None


def _within_time(instant_us: int, told: str) -> int:
    if instant_us >= END_INSTANT_US:
        raise ValueError(f"{told!r} is too far ahead")
    return instant_us
