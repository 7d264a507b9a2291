"""Lengths of time, as catalog files hold them: `second`, `10 seconds`, `250ms`, `1h`."""

from __future__ import annotations

import re
from typing import Final

from sidecar.domain.time.units import DAY_US, HOUR_US, MILLISECOND_US, MINUTE_US, SECOND_US, UNIT_US

_WORDS: Final = {
    "microsecond": 1,
    "millisecond": MILLISECOND_US,
    "second": SECOND_US,
    "minute": MINUTE_US,
    "hour": HOUR_US,
    "day": DAY_US,
}
_IN_WORDS: Final = re.compile(r"(?:([0-9]{1,15}) )?([a-z]+?)s?")
_INUNIT_US: Final = re.compile(r"([0-9]{1,15})([a-z]+)")


def duration_of_text(text: str) -> int:
    """Return the microseconds of a length of time; ValueError for anything else."""
    for form, units in ((_INUNIT_US, UNIT_US), (_IN_WORDS, _WORDS)):
        found = form.fullmatch(text)
        if found and found[2] in units:
            return int(found[1] or 1) * units[found[2]]
    raise ValueError(f"{text!r} is not a length of time such as second, 10 seconds, 250ms or 1h")
