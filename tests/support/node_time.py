"""A machine with a clock and a counter, and a plane that may be asked, in a test's own time."""

from __future__ import annotations

from typing import Final

from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.sync.machine.clock import ClockNews, TimeEstimate
from tests.support.build import NOW_US

BOOT_US: Final = 3 * DAY_US
"""Ticks at the start."""


class Node:
    """A machine, and a plane that may be asked: true time goes on, and each has a clock.

    `wall_us` and `plane_us`: how far the clock is ahead of the true time. `known`, `boot`: as of
    the process before.
    """

    def __init__(
        self,
        *,
        wall_us: int = 0,
        plane_us: int = 0,
        known: KnownTime | None = None,
        boot: str = "one",
        authority: bool = False,
        later_us: int = 0,
    ) -> None:
        self.true_us, self.ticks_us = NOW_US + later_us, BOOT_US + later_us
        self.wall_us, self.plane_us = wall_us, plane_us
        self.boot, self.authority = boot, authority
        self.news: list[ClockNews] = []
        self.open(known)

    def open(self, known: KnownTime | None) -> None:
        self.estimate = TimeEstimate(
            known, self.boot, self.true_us + self.wall_us, self.ticks_us, authority=self.authority
        )

    def restart(self, *, down_us: int = 0, boot: str = "one") -> None:
        """End the process; after so long there is another, perhaps after another boot."""
        known = self.estimate.known(self.ticks_us)
        self.true_us += down_us
        self.ticks_us = self.ticks_us + down_us if boot == self.boot else MINUTE_US
        self.boot = boot
        self.open(known)

    @property
    def off_us(self) -> int:
        """How far the time gone by is ahead of the true one."""
        return self.ticks_us + self.estimate.ahead_us - self.true_us

    @property
    def missing_us(self) -> int:
        """How far what is certain is behind the time gone by."""
        return self.ticks_us + self.estimate.ahead_us - self.estimate.sure_us(self.ticks_us)

    def exchange(self, round_trip_us: int = 1000, skew: float = 0.5) -> None:
        """Ask the plane, which looks at its clock after a part of the round trip."""
        sent_us = self.ticks_us
        plane_us = self.true_us + int(round_trip_us * skew) + self.plane_us
        self.ticks_us += round_trip_us
        self.true_us += round_trip_us
        wall_us = self.true_us + self.wall_us
        self._hear(self.estimate.exchanged(sent_us, self.ticks_us, plane_us, wall_us))

    def goes_on(self, for_us: int, *, exchanges: bool = True, each_us: int = SECOND_US) -> None:
        """Let time pass, with a look at the clock and an exchange now and then."""
        for _ in range(max(1, for_us // each_us)):
            self.true_us += each_us
            self.ticks_us += each_us
            self._hear(self.estimate.looked(self.true_us + self.wall_us, self.ticks_us))
            if exchanges:
                self.exchange()

    def _hear(self, news: ClockNews | None) -> None:
        if news is not None:
            self.news.append(news)
