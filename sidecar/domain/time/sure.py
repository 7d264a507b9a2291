"""Time that has passed for certain: what is forgotten or closed for good goes by it.

A clock may be wrong by a year for an hour, and then be put right. What was forgotten meanwhile is
gone, so forgetting goes by what a counter that nobody can set has seen pass, and follows a clock
that leapt ahead only once that has stood for as long as it leapt, or for a day. The same holds for
the time that nobody saw pass, between two boots of a machine.

That is for what is over by the calendar, as windows are. What is kept for so long goes by what has
elapsed (`elapsed_us`): by the counter alone, so that no clock, right or wrong, ahead or behind,
makes anything older than it is. Between two marks on it at least as much time has truly passed.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.time.units import DAY_US, MINUTE_US
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US

NEAR_US: Final = MINUTE_US
"""A clock that is ahead by no more is followed at once: nothing is kept so exactly."""
STANDS_US_MAX: Final = DAY_US
"""A clock that has stood for so long is believed, however far it leapt."""


class KnownTime(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was known of the time, kept on disk so that a restart notices a clock that was set.

    `now_us`: the time gone by. `sure_us`: what had passed of it for certain. `offset_us`: how far
    the time was ahead of the machine's clock. `ticks_us`: of the machine's counter, which nobody
    sets, since the boot named `boot`; empty where that is unknown. `elapsed_us`: see `SureTime`;
    `None` of a version before, whose `sure_us` ages were measured by.
    """

    now_us: int
    sure_us: int
    offset_us: int
    boot: str
    ticks_us: int
    elapsed_us: int | None = None

    @property
    def is_possible(self) -> bool:
        """Whether it lies in the calendar, as whatever was on a disk need not."""
        instants = [self.now_us, self.sure_us, self.now_us - self.offset_us]
        if self.elapsed_us is not None:
            instants.append(self.elapsed_us)
        return all(FIRST_INSTANT_US <= instant_us < END_INSTANT_US for instant_us in instants)

    def passed_us(self, boot: str, ticks_us: int) -> int | None:
        """How much time has passed since, by the counter; `None` where it can't be told."""
        passed_us = ticks_us - self.ticks_us
        return passed_us if boot and boot == self.boot and passed_us >= 0 else None


class SureTime:
    """Follows a clock by a counter.

    `sure_us`: what had passed for certain at the start. `elapsed_us`: where the time was at the
    start by which ages are measured; it never goes back, and never on by more than has passed.
    """

    def __init__(
        self, sure_us: int, now_us: int, ticks_us: int, elapsed_us: int | None = None
    ) -> None:
        self._elapsed_ahead_us = (now_us if elapsed_us is None else elapsed_us) - ticks_us
        self._sure_us = min(sure_us, now_us)
        self._ticks_us = self._stands_since_us = ticks_us
        self._ahead_us = now_us - ticks_us

    @classmethod
    def after(cls, known: KnownTime | None, boot: str, now_us: int, ticks_us: int) -> SureTime:
        """Go on from what was known when the process before this one ended."""
        if known is None:
            return cls(now_us, now_us, ticks_us)
        passed_us = known.passed_us(boot, ticks_us) or 0
        elapsed_us = known.sure_us if known.elapsed_us is None else known.elapsed_us
        return cls(known.sure_us + passed_us, now_us, ticks_us, elapsed_us + passed_us)

    def elapsed_us(self, ticks_us: int) -> int:
        """What ages are measured by: it stood at the clock's time once, and has only elapsed."""
        return ticks_us + self._elapsed_ahead_us

    def at(self, now_us: int, ticks_us: int) -> int:
        """What has passed for certain, where the clock says so; never ahead of it."""
        ahead_us = now_us - ticks_us
        if abs(ahead_us - self._ahead_us) > NEAR_US:
            self._ahead_us, self._stands_since_us = ahead_us, ticks_us
        sure_us = min(now_us, self._sure_us + ticks_us - self._ticks_us)
        missing_us = now_us - sure_us
        if missing_us <= max(NEAR_US, self._stood_us(ticks_us)):
            sure_us = now_us
        self._sure_us, self._ticks_us = sure_us, ticks_us
        return sure_us

    def _stood_us(self, ticks_us: int) -> int:
        """How far behind may be made up for: as much as the clock has stood, in the end all."""
        stood_us = ticks_us - self._stands_since_us
        return stood_us if stood_us < STANDS_US_MAX else 1 << 63
