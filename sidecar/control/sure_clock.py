"""The plane's clock, held back where it leaps: what is closed for good goes by it.

And what has elapsed, whatever the clock says: what is kept for so long ages by that.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from sidecar.domain.time.sure import KnownTime, SureTime
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.wall_clock import boot_id

_log = structlog.get_logger(__name__)


class SureClock:
    """What time has passed for certain (see `SureTime`), on the event loop.

    `clock` and `ticks` give the machine's clock and its counter, in microseconds.
    """

    def __init__(self, clock: Callable[[], int], ticks: Callable[[], int]) -> None:
        self._clock = clock
        self._ticks = ticks
        self._boot = boot_id()
        self._held_us = 0
        self._sure = SureTime(clock(), clock(), ticks())

    def go_on_from(self, known: KnownTime | None) -> None:
        """Go on from what was known before this process began; `None` for nothing."""
        self._sure = SureTime.after(known, self._boot, self._clock(), self._ticks())

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, as far as that has come for certain."""
        return self._now_us(self._clock(), self._ticks())

    def elapsed_us(self) -> int:
        """What ages are measured by (see `SureTime`)."""
        return self._sure.elapsed_us(self._ticks())

    def held_seconds(self) -> float:
        """How far the machine's clock was ahead when it was last looked at."""
        return self._held_us / SECOND_US

    def known(self) -> KnownTime:
        """What to remember of the time."""
        clock_us, ticks_us = self._clock(), self._ticks()
        sure_us, elapsed_us = self._now_us(clock_us, ticks_us), self._sure.elapsed_us(ticks_us)
        return KnownTime(clock_us, sure_us, 0, self._boot, ticks_us, elapsed_us)

    def _now_us(self, clock_us: int, ticks_us: int) -> int:
        sure_us = self._sure.at(clock_us, ticks_us)
        held_us = clock_us - sure_us
        if held_us and not self._held_us:
            _log.warning("control.clock_leapt", ahead_us=held_us)
        elif self._held_us and not held_us:
            _log.info("control.clock_followed")
        self._held_us = held_us
        return sure_us
