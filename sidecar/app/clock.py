"""The only place where a sidecar's decisions get the time from."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import clock_gettime_ns
from typing import Final

import structlog

from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import HOUR_US, SECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.shared.wall_clock import TICKS, boot_id, ticks_us
from sidecar.sync.machine.clock import JUMP_US, ClockNews, TimeEstimate

ALARM_US: Final = 5 * SECOND_US
MACHINE_AHEAD_US_MAX: Final = HOUR_US
"""As far as the machine's clock is heard where callers stamp what they ask by it."""
_LOOK_SECONDS: Final = 1.0

log = structlog.get_logger(__name__)


class PlaneClock:
    """The time that decisions go by (see `TimeEstimate`); on the event loop, but for `now_us`.

    `known`: what the process before this one knew. `wall` gives the machine's clock in
    microseconds. `count_jump` is told whose clock has jumped, and in which direction.
    """

    count_jump: Callable[[str, str], None]

    def __init__(
        self,
        plane_status: PlaneStatus,
        known: KnownTime | None,
        wall: Callable[[], int],
    ) -> None:
        self._plane_status = plane_status
        self._wall = wall
        wall_us, at_ticks_us = wall(), ticks_us()
        self._estimate = TimeEstimate(
            known, boot_id(), wall_us, at_ticks_us, authority=plane_status.authority
        )
        self._wall_ahead_us = wall_us - at_ticks_us
        self._is_far_off = False
        self.count_jump = lambda _clock, _direction: None
        self._follow(None)

    def now_us(self) -> int:
        """Microseconds since the Unix epoch, UTC."""
        # As `ticks_us`: a call more is felt on the path of a check.
        return clock_gettime_ns(TICKS) // 1000 + self._ahead_us

    def sure_us(self) -> int:
        """What has passed for certain; what is over by the calendar is forgotten by it."""
        return self._estimate.sure_us(ticks_us())

    def elapsed_us(self) -> int:
        """What has elapsed, whatever clocks say; what is kept for so long is aged by it."""
        return self._estimate.elapsed_us(ticks_us())

    def known(self) -> KnownTime:
        """What to remember of the time."""
        return self._estimate.known(ticks_us())

    @property
    def offset_us(self) -> int:
        """The time minus the machine's clock; 0 while that is right."""
        return self._estimate.offset_us

    @property
    def doubted_us(self) -> int:
        """How far what is said of the time, and not believed yet, is ahead of it; 0 for nothing."""
        return self._estimate.doubted_us

    def exchanged(self, sent_ticks_us: int, received_ticks_us: int, plane_us: int) -> None:
        """Take note of an exchange with the plane, whose time was read in between."""
        wall_us = self._wall()
        news = self._estimate.exchanged(sent_ticks_us, received_ticks_us, plane_us, wall_us)
        self._follow(news)

    async def run(self) -> None:
        """Look at the machine's clock once a second, for ever."""
        while True:
            self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    def look(self) -> None:
        """Take a look at the machine's clock, and go on towards what is believed."""
        wall_us, at_ticks_us = self._wall(), ticks_us()
        leapt_us = wall_us - at_ticks_us - self._wall_ahead_us
        self._wall_ahead_us = wall_us - at_ticks_us
        if abs(leapt_us) > JUMP_US:
            self.count_jump("machine", _direction(leapt_us))
        self._follow(self._estimate.looked(wall_us, at_ticks_us))

    def _follow(self, news: ClockNews | None) -> None:
        estimate, status = self._estimate, self._plane_status
        self._ahead_us = estimate.ahead_us
        machine_ahead_us = self._wall_ahead_us - estimate.ahead_us
        status.machine_ahead_us = max(0, min(MACHINE_AHEAD_US_MAX, machine_ahead_us))
        if news is not None:
            self._tell(news)
        far_us = abs(estimate.offset_us)
        if self._is_far_off != (far_us > (ALARM_US // 2 if self._is_far_off else ALARM_US)):
            self._is_far_off = not self._is_far_off
            if self._is_far_off:
                log.warning("clock.far_off", offset_us=estimate.offset_us)
            else:
                log.info("clock.near_again", offset_us=estimate.offset_us)

    def _tell(self, news: ClockNews) -> None:
        estimate = self._estimate
        clock = "plane" if estimate.plane_heard else "machine"
        if news is ClockNews.DOUBTED:
            if clock == "plane":
                self.count_jump(clock, _direction(estimate.doubted_us))
            log.warning("clock.jump_doubted", clock=clock, by_us=estimate.doubted_us)
        elif news is ClockNews.BELIEVED:
            log.warning("clock.jump_believed", clock=clock, offset_us=estimate.offset_us)
        else:
            log.info("clock.jump_taken_back", clock=clock)


def _direction(by_us: int) -> str:
    return "forward" if by_us > 0 else "back"
