"""Instants of a scenario: absolute, by the company's clocks, or counted from what was before."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from sidecar.domain.time.units import DAY_US, instant_of_datetime
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.domain.time.zones import instant_of_wall, load_zone, wall_of_instant
from sidecar.shared.instants import instant_of_text, moment_of_text

_WALL: Final = re.compile(r"\d{4}-\d{2}-\d{2}[ T]\d{2}:\d{2}(:\d{2})?", re.ASCII)
_DAY: Final = re.compile(r"day ([1-9][0-9]{0,4})(?: (\d{2}:\d{2}(?::\d{2})?))?", re.ASCII)


class ScenarioClock:
    """Reads instants: those of a catalog file, and what a scenario knows beside them.

    `2026-02-14 12:00` and `day 15 12:00` are by the company's clocks, as dates are; day 1 is the
    one on which the scenario starts. What commands read as seen from now (`+14d`, `fri`) is seen
    from an instant that the caller says.
    """

    def __init__(self, time_zone: str, starts_us: int = 0) -> None:
        self.time_zone = time_zone
        self.starts_us = starts_us
        self._zone = load_zone(time_zone)

    def instant(self, text: str, before_us: int) -> int:
        """The instant of a text, seen from `before_us`. ValueError says what is wrong."""
        if found := _DAY.fullmatch(text):
            midnight_us = wall_of_instant(self._zone, self.starts_us) // DAY_US * DAY_US
            clock_us = _wall(f"1970-01-01 {found[2] or '00:00'}", text)
            day_us = midnight_us + (int(found[1]) - 1) * DAY_US
            instant_us = instant_of_wall(self._zone, day_us + clock_us)
        elif _WALL.fullmatch(text):
            instant_us = instant_of_wall(self._zone, _wall(text, text))
        else:
            instant_us = moment_of_text(text, before_us, self.time_zone)
        if not 0 <= instant_us < END_INSTANT_US:
            raise ValueError(f"{text!r} is out of bounds")
        return instant_us

    def absolute(self, text: str) -> int:
        """The same of what is counted from nothing."""
        if _WALL.fullmatch(text):
            return self.instant(text, 0)
        return instant_of_text(text, self.time_zone)

    def is_absolute(self, text: str) -> bool:
        """Whether a text is an instant as a catalog file has it."""
        try:
            instant_of_text(text, self.time_zone)
        except ValueError:
            return False
        return True


def _wall(text: str, told: str) -> int:
    try:
        return instant_of_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))
    except ValueError:
        raise ValueError(f"{told!r} is not a time that the calendar has") from None
