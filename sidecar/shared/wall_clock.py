"""This machine's clock, and its counter of time, which nobody sets."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final

TICKS: Final = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""The counter: it goes on while the machine sleeps, where there is one that does."""
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")


def wall_us() -> int:
    """Microseconds since the Unix epoch, by this machine's clock."""
    return time.time_ns() // 1000


def ticks_us() -> int:
    """Microseconds of the counter: since the machine was booted, more or less."""
    return time.clock_gettime_ns(TICKS) // 1000


def boot_id() -> str:
    """A name for this boot of the machine, whose counter it is; empty where there is none."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:
        return ""
