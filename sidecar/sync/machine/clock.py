"""The time that a sidecar goes by: the plane's, estimated from exchanges, and not its jumps.

Time goes on by the machine's counter (`ticks`), which nobody sets; so a clock that is set while the
sidecar runs changes nothing. What is estimated is how far the time is ahead of the counter.

Rules
- Cristian's algorithm: the plane's time was read somewhere between sending and receiving; assuming
  the middle, the error is at most half the round trip. Of the last few exchanges the one with the
  shortest round trip is believed, and what its error alone could be is no difference: a sidecar
  that is right must not be moved because the machine was busy.
- What a drift may be (`JUMP_US`) is followed slowly. More is a jump, and is not obeyed at once: the
  plane has to repeat it for as long as it is wide, half a minute at least and a day at most, and in
  five exchanges. Where the machine's own clock says the same, an hour is enough. One that is taken
  back meanwhile has changed nothing. A jump that is believed is made up for at half a second a
  second; one of more than a quarter of an hour is taken in one step, for it has been said for long.
- The first exchange after a start is believed at once where there is nothing to lose or to doubt:
  nothing is remembered, the plane and what is remembered agree, the plane and the machine's clock
  agree after another boot, or the machine's clock is evidently behind what was known before. It
  is no more than a first word: where the plane comes to agree with the machine's clock after all,
  half a minute is enough.
- Until the plane was heard, the machine's clock stands in for it, under the same rules.
- What is remembered (`KnownTime`) goes on by the counter within a boot. After another one there is
  only the machine's clock, as far ahead or behind as it was known to be, and never earlier than
  what was known.
"""

from __future__ import annotations

import enum
from collections import deque
from typing import Final, NamedTuple

from sidecar.domain.time.sure import KnownTime, SureTime
from sidecar.domain.time.units import DAY_US, HOUR_US, MILLISECOND_US, MINUTE_US, SECOND_US

TOLERANCE_US: Final = 50 * MILLISECOND_US
"""Smaller differences are not corrected: they are within the error of a busy machine."""
JUMP_US: Final = 2 * SECOND_US
REPEATED_MIN: Final = 5
REPEATED_US_MIN: Final = 30 * SECOND_US
STEP_US: Final = 15 * MINUTE_US
QUIET_US: Final = MINUTE_US
"""So long nothing must have disagreed before a jump counts as taken back."""
_SAMPLES: Final = 8
_DRIFT_PART: Final = 20
_JUMP_PART: Final = 2
"""A difference is made up for by this part of the time that passes."""


class ClockNews(enum.Enum):
    """What has become of a jump: it was first seen, is obeyed from now on, or was taken back."""

    DOUBTED = "doubted"
    BELIEVED = "believed"
    TAKEN_BACK = "taken_back"


class _Sample(NamedTuple):
    """`ahead_us`: how far the time is ahead of the counter, as somebody says."""

    error_us: int
    ahead_us: int

    @property
    def uncertain_us(self) -> int:
        """What is no difference to it."""
        return max(TOLERANCE_US, self.error_us)


class _Doubt:
    """A jump that is not believed yet. `repeated`: without anything else in between."""

    def __init__(self, sample: _Sample, at_ticks_us: int) -> None:
        self.sample = sample
        self.first_ticks_us = self.last_ticks_us = at_ticks_us
        self.repeated = 1

    def repeats(self, sample: _Sample, at_ticks_us: int) -> None:
        """Note what somebody says again, or instead."""
        if not self.repeated or not _agree(sample, self.sample):
            self.first_ticks_us, self.repeated, self.sample = at_ticks_us, 0, sample
        self.sample = min(self.sample, sample)
        self.last_ticks_us = at_ticks_us
        self.repeated += 1


def _agree(first: _Sample, second: _Sample) -> bool:
    apart_us = abs(first.ahead_us - second.ahead_us)
    return apart_us <= JUMP_US + first.error_us + second.error_us


class TimeEstimate:
    """Estimates the time. `ahead_us`: how far it is ahead of the counter now.

    `known`: what the process before this one knew. `boot`: of the machine, empty for unknown.
    """

    def __init__(
        self, known: KnownTime | None, boot: str, wall_us: int, ticks_us: int, *, authority: bool
    ) -> None:
        self._boot = boot
        # Without a plane, nothing is known better than by the machine's clock.
        self._offset_us = 0 if known is None or authority else known.offset_us
        self._same_boot = known is not None and known.passed_us(boot, ticks_us) is not None
        now_us, self._is_open = self._resumed(known, wall_us, ticks_us)
        self.ahead_us = self._aim_us = now_us - ticks_us
        self.plane_heard = self._by_first_word = False
        self._wall_ahead_us = wall_us - ticks_us
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)
        self._doubt: _Doubt | None = None
        self._part = _DRIFT_PART
        self._ticks_us = ticks_us
        self._sure = SureTime.after(known, boot, now_us, ticks_us)

    def _resumed(self, known: KnownTime | None, wall_us: int, ticks_us: int) -> tuple[int, bool]:
        """The time at the start, and whether whatever the plane says first is believed."""
        if known is None:
            return wall_us, True
        passed_us = known.passed_us(self._boot, ticks_us)
        if passed_us is not None:
            return known.now_us + passed_us, False
        by_wall_us = wall_us + self._offset_us
        return max(by_wall_us, known.now_us), by_wall_us < known.now_us - JUMP_US

    def exchanged(
        self, sent_ticks_us: int, received_ticks_us: int, plane_us: int, wall_us: int
    ) -> ClockNews | None:
        """Take note of an exchange: when it was sent and received, and the plane's time."""
        round_trip_us = max(0, received_ticks_us - sent_ticks_us)
        ahead_us = plane_us - (sent_ticks_us + received_ticks_us) // 2
        sample = _Sample((round_trip_us + 1) // 2, ahead_us)
        wall = _Sample(0, wall_us - received_ticks_us)
        if not self.plane_heard:
            self.plane_heard, self._doubt = True, None
            self._samples.clear()
            if self._is_believed_first(sample, wall):
                self._begin(sample)
                self._by_first_word = not _agree(sample, wall)
                return None
        most_us = DAY_US
        if _agree(sample, wall):
            most_us = REPEATED_US_MIN if self._by_first_word else HOUR_US
        return self._said(sample, received_ticks_us, most_us)

    def looked(self, wall_us: int, ticks_us: int) -> ClockNews | None:
        """Take a look at the machine's clock, and go on towards what is believed."""
        self._wall_ahead_us = wall_us - ticks_us
        news = None
        if not self.plane_heard:
            said = _Sample(0, wall_us + self._offset_us - ticks_us)
            news = self._said(said, ticks_us, DAY_US)
        self._approach(ticks_us)
        self._sure.at(ticks_us + self.ahead_us, ticks_us)
        return news

    def sure_us(self, ticks_us: int) -> int:
        """What has passed for certain: not what is ahead of what anybody says."""
        now_us = ticks_us + self.ahead_us
        return self._sure.at(now_us, ticks_us) + min(0, self.doubted_us)

    @property
    def offset_us(self) -> int:
        """What to add to the machine's clock, as it was last looked at; 0 while it is right."""
        offset_us = self.ahead_us - self._wall_ahead_us
        return offset_us if abs(offset_us) > TOLERANCE_US else 0

    @property
    def doubted_us(self) -> int:
        """How far what is said, and not believed yet, is ahead of the time; 0 for nothing."""
        return 0 if self._doubt is None else self._doubt.sample.ahead_us - self._aim_us

    def elapsed_us(self, ticks_us: int) -> int:
        """What ages are measured by, whatever anybody says of the time."""
        return self._sure.elapsed_us(ticks_us)

    def known(self, ticks_us: int) -> KnownTime:
        """What to remember."""
        offset_us = self.offset_us if self.plane_heard else self._offset_us
        now_us = ticks_us + self.ahead_us
        # What is doubted now may be taken back, and is no reason to hold back for longer.
        sure_us = self._sure.at(now_us, ticks_us)
        elapsed_us = self.elapsed_us(ticks_us)
        return KnownTime(now_us, sure_us, offset_us, self._boot, ticks_us, elapsed_us)

    def _is_believed_first(self, sample: _Sample, wall: _Sample) -> bool:
        """Whether the plane's first word is believed at once."""
        if self._is_open or (not self._same_boot and _agree(sample, wall)):
            return True
        return _agree(sample, _Sample(0, self._aim_us))

    def _begin(self, sample: _Sample) -> None:
        """Go by what the plane says from now on, in one step."""
        self._samples.append(sample)
        if abs(sample.ahead_us - self._aim_us) > sample.uncertain_us:
            self.ahead_us = self._aim_us = sample.ahead_us

    def _said(self, sample: _Sample, at_ticks_us: int, most_us: int) -> ClockNews | None:
        """Hear what somebody says of the time, who has to repeat a jump for `most_us` at most."""
        doubt = self._doubt
        if _agree(sample, _Sample(0, self._aim_us)):
            self._drifted(sample)
            if doubt is None:
                return None
            doubt.repeated = 0
            if at_ticks_us - doubt.last_ticks_us < QUIET_US:
                return None
            self._doubt = None
            return ClockNews.TAKEN_BACK
        if doubt is None:
            self._doubt = _Doubt(sample, at_ticks_us)
            return ClockNews.DOUBTED
        doubt.repeats(sample, at_ticks_us)
        needed_us = min(most_us, max(REPEATED_US_MIN, abs(self.doubted_us)))
        if doubt.repeated < REPEATED_MIN or at_ticks_us - doubt.first_ticks_us < needed_us:
            return None
        self._aim_us, self._part, self._doubt = doubt.sample.ahead_us, _JUMP_PART, None
        self._by_first_word = False
        self._samples.clear()
        self._samples.append(doubt.sample)
        if abs(self._aim_us - self.ahead_us) > STEP_US:
            self.ahead_us = self._aim_us
        return ClockNews.BELIEVED

    def _drifted(self, sample: _Sample) -> None:
        self._samples.append(sample)
        best = min(self._samples)
        if abs(best.ahead_us - self._aim_us) > best.uncertain_us:
            self._aim_us = best.ahead_us

    def _approach(self, ticks_us: int) -> None:
        """Make up for a part of what is missing, as long as it took to get here."""
        passed_us = max(0, ticks_us - self._ticks_us)
        self._ticks_us = ticks_us
        missing_us = self._aim_us - self.ahead_us
        if not missing_us:
            self._part = _DRIFT_PART
            return
        most_us = passed_us // self._part
        self.ahead_us += max(-most_us, min(most_us, missing_us))
