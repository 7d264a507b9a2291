"""Times as traces write them, into microseconds since the Unix epoch."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from sidecar.domain.time.units import MINUTE_US, SECOND_US, instant_of_datetime
from sidecar.traces.model import LineError

_OFFSET_MINUTES_MAX: Final = 24 * 60

_ISO: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?\s*(Z|[+-]\d\d:?\d\d)?",
    re.ASCII | re.IGNORECASE,
)
_LOG: Final = re.compile(
    r"(\d{1,2})/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d)(?: ([+-]\d{4}))?", re.ASCII
)
_MONTHS: Final = {
    name: number
    for number, name in enumerate(
        ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"), 1
    )
}


def parse_iso(text: str) -> int:
    """Read `2023-11-16 18:17:03.9799600`: any precision, cut to microseconds; UTC if no offset.

    Raises `LineError`.
    """
    found = _ISO.fullmatch(text.strip())
    if found is None:
        raise LineError(f"{_shown(text)} is not a time such as 2023-11-16 18:17:03.9799600")
    year, month, day, hour, minute, second = (int(part) for part in found.groups()[:6])
    fraction_us = int((found[7] or "0")[:6].ljust(6, "0"))
    whole_us = _instant_us(text, (year, month, day), (hour, minute, second), found[8])
    return whole_us + fraction_us


def parse_log(text: str) -> int:
    """Read `17/May/2015:10:05:03 +0000`, the time of an access log; UTC if no offset.

    Raises `LineError`.
    """
    found = _LOG.fullmatch(text.strip())
    month = _MONTHS.get(found[2]) if found else None
    if found is None or month is None:
        raise LineError(f"{_shown(text)} is not a time such as 17/May/2015:10:05:03 +0000")
    clock = (int(found[4]), int(found[5]), int(found[6]))
    return _instant_us(text, (int(found[3]), month, int(found[1])), clock, found[7])


def _instant_us(
    text: str, day: tuple[int, int, int], clock: tuple[int, int, int], offset: str | None
) -> int:
    hour, minute, second = clock
    try:
        if second > 60:  # 60 is a leap second; it counts as the next minute's first
            raise ValueError
        minute_us = instant_of_datetime(datetime(*day, hour, minute, tzinfo=UTC))
        return minute_us + second * SECOND_US - _offset_us(offset)
    except (ValueError, OverflowError):
        raise LineError(f"{_shown(text)} is no time of any calendar day") from None


def _offset_us(offset: str | None) -> int:
    """Microseconds east of UTC of `Z`, `+0200` or `-05:30`."""
    if offset is None or offset in "Zz":
        return 0
    minutes = int(offset[1:3]) * 60 + int(offset[-2:])
    if minutes >= _OFFSET_MINUTES_MAX:
        raise ValueError
    return (minutes if offset[0] == "+" else -minutes) * MINUTE_US


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else text[:39] + "…")
