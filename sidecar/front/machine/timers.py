"""Deadlines of a whole server, earliest first. One timer of the event loop serves all of them."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final, Protocol

_SLACK: Final = 64


class Timed(Protocol):
    """What may come to its deadline. `over`: it has ended before, and needs no more care."""

    @property
    def over(self) -> bool: ...

    def expire(self, now: float) -> None: ...


def _ignored() -> None:
    pass


class Timers:
    """Deadlines in seconds of any clock that only grows.

    What has ended is left where it is until its turn comes or such entries are the most.
    on_earlier: told when there is a new earliest deadline.
    """

    __slots__ = ("_added", "_heap", "_sweep_at", "on_earlier")

    def __init__(self) -> None:
        self.on_earlier: Callable[[], None] = _ignored
        self._heap: list[tuple[float, int, Timed]] = []
        self._added = 0  # orders equal deadlines
        self._sweep_at = _SLACK

    def __len__(self) -> int:
        return len(self._heap)

    def add(self, deadline: float, timed: Timed) -> None:
        """Remember a deadline."""
        if len(self._heap) >= self._sweep_at:
            self._heap = [entry for entry in self._heap if not entry[2].over]
            heapq.heapify(self._heap)
            self._sweep_at = 2 * len(self._heap) + _SLACK
        self._added += 1
        entry = (deadline, self._added, timed)
        heapq.heappush(self._heap, entry)
        if self._heap[0] is entry:
            self.on_earlier()

    def next_at(self) -> float | None:
        """The earliest deadline of what has not ended."""
        heap = self._heap
        while heap and heap[0][2].over:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def expire(self, now: float, most: int) -> None:
        """Let at most `most` of what has reached its deadline know."""
        for _ in range(most):
            next_at = self.next_at()
            if next_at is None or next_at > now:
                return
            heapq.heappop(self._heap)[2].expire(now)
