"""The only place where a sidecar's decisions get the time from."""

from __future__ import annotations

import time

from sidecar.engine.plane_status import Standing


def wall_us() -> int:
    """This machine's clock: microseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1000


class PlaneClock:
    """The plane's clock, as far as it is known."""

    def __init__(self, standing: Standing) -> None:
        self._standing = standing

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        return time.time_ns() // 1000 + self._standing.clock_offset_us
