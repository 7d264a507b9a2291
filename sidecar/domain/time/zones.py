"""Wall time and back, for window arithmetic.

A wall time is what the clocks of a zone show, as an int: microseconds since 1970-01-01T00:00 on
those clocks. An instant is microseconds since the Unix epoch, UTC.

Zone rules come from the ``tzdata`` package alone, never from the host: the zone files of two
images differ, and two pods that disagree on where a window ends would count on two counters.
"""

from datetime import UTC, date, timedelta
from functools import lru_cache
from importlib import resources
from typing import Final
from zoneinfo import ZoneInfo

from sidecar.domain.nearest import did_you_mean
from sidecar.domain.time.units import DAY_SECONDS, EPOCH, SECOND_US

# What datetime can hold, the years 1 to 9999, in whole seconds.
_SECOND_MIN: Final = (date.min.toordinal() - EPOCH.toordinal()) * DAY_SECONDS
_SECOND_MAX: Final = (date.max.toordinal() - EPOCH.toordinal() + 1) * DAY_SECONDS - 1


@lru_cache(maxsize=1)
def _zone_names() -> frozenset[str]:
    return frozenset(resources.files("tzdata").joinpath("zones").read_text("ascii").split())


def is_zone(name: str) -> bool:
    """Tell whether there is a zone with this IANA name."""
    return name in _zone_names()


def unknown_zone(name: str) -> str:
    """Say that there is no zone of this name, and which one may have been meant."""
    return f"unknown time zone {name!r}{did_you_mean(name, sorted(_zone_names()))}"


@lru_cache(maxsize=1024)  # more than there are zones, and only zones get in
def load_zone(name: str) -> ZoneInfo:
    """Return the zone with this IANA name, read once a process; ``ValueError`` for others.

    The list of names is the only door to the files, so a name can't lead to another path.
    """
    if not is_zone(name):
        raise ValueError(f"time_zone: unknown time zone {name!r}")
    with resources.files("tzdata").joinpath(f"zoneinfo/{name}").open("rb") as rules:
        return ZoneInfo.from_file(rules, key=name)


def wall_of_instant(zone: ZoneInfo, instant_us: int) -> int:
    """Tell what the zone's clocks show at an instant, a day or more inside the years 1 to 9999."""
    seconds, fraction_us = divmod(instant_us, SECOND_US)
    local = (EPOCH + timedelta(seconds=seconds)).astimezone(zone)
    return _whole_seconds_us(local.replace(tzinfo=UTC) - EPOCH) + fraction_us


def instant_of_wall(zone: ZoneInfo, wall_us: int) -> int:
    """Tell when the zone's clocks show a wall time, the first time where they do so twice.

    A skipped wall time moves forward by the gap. Both are what ``fold=0`` means (PEP 495): the
    offset from before the transition holds. Outside the years 1 to 9999 the wall time itself is
    the answer, as in UTC.
    """
    seconds, fraction_us = divmod(wall_us, SECOND_US)
    if not _SECOND_MIN <= seconds <= _SECOND_MAX:
        return wall_us
    local = (EPOCH + timedelta(seconds=seconds)).replace(tzinfo=zone)
    return _whole_seconds_us(local - EPOCH) + fraction_us


def _whole_seconds_us(span: timedelta) -> int:
    return (span.days * DAY_SECONDS + span.seconds) * SECOND_US
