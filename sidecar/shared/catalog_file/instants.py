"""RFC 3339 instants, as catalog files and command lines hold them."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from sidecar.domain.time.units import instant_of_datetime

_RFC_3339: Final = re.compile(
    r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}:\d{2}(?:\.(?P<fraction>\d+))?"
    r"(?P<offset>[Zz]|[+-]\d{2}:\d{2})?",
    re.ASCII,
)


def instant_of_text(text: str) -> int:
    """Return microseconds since the epoch of an RFC 3339 date-time with its offset.

    ValueError says what is wrong. A date-time without an offset is refused, since nobody could
    tell which instant is meant; so is one finer than a microsecond.
    """
    found = _RFC_3339.fullmatch(text)
    if found is None:
        raise ValueError(f'{text!r} is not a date-time such as "2026-01-31T00:00:00Z"')
    if found["offset"] is None:
        raise ValueError(f"{text!r} has no offset; end it in Z, or in one such as +01:00")
    if len(found["fraction"] or "") > 6:
        raise ValueError(f"{text!r} is finer than a microsecond")
    try:
        return instant_of_datetime(datetime.fromisoformat(text.upper()).astimezone(UTC))
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is not a time that the calendar has") from None
