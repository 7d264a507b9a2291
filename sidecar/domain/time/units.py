"""Units of time. Instants are microseconds since the Unix epoch, UTC, and lengths microseconds."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final

MILLISECOND_US: Final = 1_000
SECOND_US: Final = 1_000_000
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US
DAY_SECONDS: Final = DAY_US // SECOND_US

UNIT_US: Final[Mapping[str, int]] = {
    "d": DAY_US,
    "h": HOUR_US,
    "m": MINUTE_US,
    "s": SECOND_US,
    "ms": MILLISECOND_US,
    "us": 1,
}
"""Units by their signs, as files, commands and texts have them; the largest first."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def datetime_of_instant(instant_us: int) -> datetime:
    """An instant as a datetime in UTC. Raises `OverflowError` outside the years 1 to 9999."""
    return EPOCH + timedelta(microseconds=instant_us)


def instant_of_datetime(moment: datetime) -> int:
    """The instant of a datetime that has a time zone."""
    return (moment - EPOCH) // timedelta(microseconds=1)
