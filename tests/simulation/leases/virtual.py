"""Virtual time, and a network on it that loses, delays, doubles and reorders what it carries."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Final

Action = Callable[[], None]

LATENCY_US: Final = (500, 5_000)
LATE_US: Final = (200_000, 12_000_000)
"""How much later a message comes that is held up: too late for who waits for it, at times."""


class Timeline:
    """What is to happen, in its order. `now_us`: the true time, which no clock has to show."""

    def __init__(self, now_us: int) -> None:
        self.now_us = now_us
        self.steps = 0
        self._order = count()
        self._due: list[tuple[int, int, Action]] = []

    def at(self, at_us: int, action: Action) -> None:
        """Do something at an instant, at once if that is over."""
        heappush(self._due, (max(at_us, self.now_us), next(self._order), action))

    def after(self, delay_us: int, action: Action) -> None:
        """Do something later."""
        self.at(self.now_us + delay_us, action)

    def next_step(self, until_us: int) -> bool:
        """Do what is due next, up to an instant; False: nothing is, and the instant has come."""
        if not self._due or self._due[0][0] > until_us:
            self.now_us = max(self.now_us, until_us)
            return False
        self.now_us, _, action = heappop(self._due)
        self.steps += 1
        action()
        return True


class Link:
    """The way between a sidecar and the plane; each direction can be cut by itself.

    `lost`, `late`, `doubled`: of a thousand messages so many.
    """

    def __init__(self, timeline: Timeline, random: Random) -> None:
        self.up_is_cut = self.down_is_cut = False
        self.lost = self.late = self.doubled = 0
        self._timeline = timeline
        self._random = random
        self._last_down_us = 0

    @property
    def is_troubled(self) -> bool:
        """Whether not everything comes through, or not in time."""
        return self.is_cut or bool(self.lost or self.late)

    @property
    def is_cut(self) -> bool:
        """Whether nothing comes through in one of the directions."""
        return self.up_is_cut or self.down_is_cut

    def heal(self) -> None:
        """Carry everything from now on."""
        self.up_is_cut = self.down_is_cut = False
        self.lost = self.late = self.doubled = 0

    def up(self, arrive: Action) -> None:
        """Carry a message to the plane."""
        self._carry(arrive, cut=self.up_is_cut)

    def down(self, arrive: Action) -> None:
        """Carry an answer to the sidecar."""
        self._carry(arrive, cut=self.down_is_cut)

    def stream(self, arrive: Action) -> bool:
        """Carry a message of a stream: in order and once, or the stream breaks (False)."""
        if self.is_cut or self._happens(self.lost):
            return False
        at_us = max(self._timeline.now_us + self._latency_us(), self._last_down_us + 1)
        self._last_down_us = at_us
        self._timeline.at(at_us, arrive)
        return True

    def _carry(self, arrive: Action, *, cut: bool) -> None:
        if cut or self._happens(self.lost):
            return
        self._timeline.after(self._latency_us(), arrive)
        if self._happens(self.doubled):
            self._timeline.after(self._latency_us() + self._random.randint(*LATE_US), arrive)

    def _latency_us(self) -> int:
        if self._happens(self.late):
            return self._random.randint(*LATE_US)
        return self._random.randint(*LATENCY_US)

    def _happens(self, per_thousand: int) -> bool:
        return per_thousand > 0 and self._random.randrange(1_000) < per_thousand
