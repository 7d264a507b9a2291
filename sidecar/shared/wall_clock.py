"""This machine's clock."""

from __future__ import annotations

import time


def wall_us() -> int:
    """Microseconds since the Unix epoch, by this machine's clock."""
    return time.time_ns() // 1000
