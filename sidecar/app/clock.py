"""The only place where a sidecar's decisions get the time from."""

from __future__ import annotations

import time

from sidecar.engine.plane_status import PlaneStatus


class PlaneClock:
    """The plane's clock, as far as it is known."""

    def __init__(self, plane_status: PlaneStatus) -> None:
        self._plane_status = plane_status

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        # As `wall_us`: a call more is felt on the path of a check.
        return time.time_ns() // 1000 + self._plane_status.clock_offset_us
