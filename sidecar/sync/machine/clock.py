"""The plane's clock, estimated from exchanges with it.

Cristian's algorithm: the plane's time was read somewhere between sending and receiving; assuming
the middle, the error is at most half the round trip. Of the last few exchanges the one with the
shortest round trip is believed, and an offset that its error alone could be is none: a sidecar
whose clock is right must not be moved because the machine was busy.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from sidecar.domain.time.units import MILLISECOND_US, SECOND_US

_SAMPLES: Final = 8
TOLERANCE_US: Final = 50 * MILLISECOND_US
"""Smaller offsets are not corrected: they are within the error of a busy machine."""
ALARM_US: Final = 5 * SECOND_US


class _Sample(NamedTuple):
    round_trip_us: int
    offset_us: int


class ClockEstimate:
    """Estimates the plane's clock minus this machine's."""

    def __init__(self) -> None:
        self._samples: deque[_Sample] = deque(maxlen=_SAMPLES)

    def exchanged(self, sent_us: int, received_us: int, plane_us: int) -> None:
        """Take note of an exchange: when it was sent and received here, and the plane's time."""
        round_trip_us = received_us - sent_us
        if round_trip_us < 0:
            # This machine's clock was set back in between: what was known of it is void.
            self._samples.clear()
            return
        offset_us = plane_us - (sent_us + received_us) // 2
        if self._samples and abs(offset_us - self._best().offset_us) > ALARM_US:
            self._samples.clear()
        self._samples.append(_Sample(round_trip_us, offset_us))

    def offset_us(self) -> int:
        """What to add to this machine's clock; 0 while it is right as far as can be told."""
        if not self._samples:
            return 0
        best = self._best()
        uncertain_us = max(TOLERANCE_US, (best.round_trip_us + 1) // 2)
        return best.offset_us if abs(best.offset_us) > uncertain_us else 0

    def _best(self) -> _Sample:
        return min(self._samples)
