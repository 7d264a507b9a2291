"""Warnings long before something is full: once when a level is passed, once when it has eased."""

from __future__ import annotations

import os
from typing import Final, NamedTuple

import structlog

WARN_PERCENT: Final = 70
FULL_PERCENT: Final = 90
DISK_WARN_PERCENT: Final = 85
DISK_FULL_PERCENT: Final = 95
_EASED_PERCENT: Final = 5
"""So far below a level it has eased: nothing flutters around it."""

log = structlog.get_logger(__name__)


class Level:
    """How full something is. `passed`: the level that it is past, 0 for none."""

    def __init__(self, what: str, levels: tuple[int, int] = (WARN_PERCENT, FULL_PERCENT)) -> None:
        self._what = what
        self._levels = levels
        self.passed = 0

    def look(self, used: int, most: int) -> None:
        """Take note of how much of the most is used; tell of a level that was passed, or left."""
        percent = used * 100 // max(1, most)
        passed = self._level_of(percent)
        if passed < self.passed:
            passed = min(self.passed, self._level_of(percent + _EASED_PERCENT))
        if passed == self.passed:
            return
        rises, self.passed = passed > self.passed, passed
        if rises:
            log.warning("room.low", what=self._what, percent=percent, used=used, most=most)
        elif not passed:
            log.info("room.enough", what=self._what, percent=percent, used=used, most=most)

    def _level_of(self, percent: int) -> int:
        return max((level for level in self._levels if percent >= level), default=0)


class Disk(NamedTuple):
    """Bytes of a disk; 0 where they cannot be told."""

    free_bytes: int = 0
    size_bytes: int = 0


def disk_of(folder: str) -> Disk:
    """The disk that a folder is on."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return Disk()
    return Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)


def disk_level() -> Level:
    """How full a disk is, which others may fill, too."""
    return Level("disk", (DISK_WARN_PERCENT, DISK_FULL_PERCENT))
