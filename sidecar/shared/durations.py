"""Lengths of time, in files, settings and on command lines alike: `10 seconds`, `250ms`, `1.5h`."""

from __future__ import annotations

import re
from decimal import Decimal
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
_COUNT: Final = r"([0-9]{1,15}(?:\.[0-9]{1,9})?)"
_IN_WORDS: Final = re.compile(rf"(?:{_COUNT} )?([a-z]+?)s?")
_IN_UNITS: Final = re.compile(rf"{_COUNT}([a-z]+)")


def duration_of_text(text: str) -> int:
    """Return the microseconds of a length of time; ValueError for anything else.

    A fraction has to come to whole microseconds.
    """
    for form, units in ((_IN_UNITS, UNIT_US), (_IN_WORDS, _WORDS)):
        found = form.fullmatch(text)
        if found and found[2] in units:
            length_us = Decimal(found[1] or 1) * units[found[2]]
            if length_us == int(length_us):
                return int(length_us)
    raise ValueError(f"{text!r} is not a length of time such as second, 10 seconds, 250ms or 1h")
