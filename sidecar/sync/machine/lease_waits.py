"""Calls that wait for leases, by counter: who waits, for how much, and until when."""

from __future__ import annotations

import heapq
from collections import OrderedDict
from collections.abc import Callable
from itertools import count
from typing import Final

import msgspec

from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName

WAITS_MAX: Final = 10_000
"""Most calls' needs that wait; more are decided by what is held."""


class _Wait(msgspec.Struct, frozen=True, gc=False):
    need: LeaseNeed
    until_us: int


class LeaseWaits:
    """What waits. A counter is asked about at once, or not before an instant.

    Companies take turns: one whose thousands of users wait does not hold up another.
    """

    def __init__(self) -> None:
        self._numbers = count(1)
        self._waits: dict[int, _Wait] = {}
        self._of: dict[CounterName, dict[int, int]] = {}
        self._ready: OrderedDict[str, OrderedDict[CounterName, None]] = OrderedDict()
        self._not_before: dict[CounterName, int] = {}
        self._refused: set[CounterName] = set()
        self._later: list[tuple[int, int, CounterName]] = []

    def __len__(self) -> int:
        return len(self._waits)

    def __contains__(self, counter: CounterName) -> bool:
        return counter in self._of

    def add(self, need: LeaseNeed, until_us: int, *, is_asked: bool) -> int | None:
        """A call waits; the number of its wait, `None` where too many wait.

        `is_asked`: whether its counter is being asked about; then it is ready with `again`.
        """
        if len(self._waits) >= WAITS_MAX:
            return None
        number = next(self._numbers)
        self._waits[number] = _Wait(need, until_us)
        counter = need.counter
        waiting = self._of.get(counter)
        if waiting is None:
            waiting = self._of[counter] = {}
            if not is_asked:
                self._make_ready(counter)
        waiting[number] = need.quantity
        return number

    def end(self, number: int) -> None:
        """A call does not wait any more."""
        wait = self._waits.pop(number, None)
        if wait is None:
            return
        counter = wait.need.counter
        waiting = self._of[counter]
        del waiting[number]
        if not waiting:
            del self._of[counter]
            self.asked(counter)

    def end_of(
        self, counter: CounterName, ends: Callable[[int, int], bool] = lambda _q, _u: True
    ) -> list[int]:
        """End those waits for a counter of whose quantity and end it is said; their numbers."""
        waiting = self._of.get(counter, {})
        ended = [
            number
            for number, quantity in waiting.items()
            if ends(quantity, self._waits[number].until_us)
        ]
        for number in ended:
            self.end(number)
        return ended

    def end_all(self, but: Callable[[CounterName], bool]) -> list[int]:
        """End all waits but for some counters; their numbers."""
        counters = [counter for counter in self._of if not but(counter)]
        return [number for counter in counters for number in self.end_of(counter)]

    def refused(self, counter: CounterName) -> None:
        """A counter is not to be asked about again before the plane was greeted."""
        if counter in self._of:
            self._refused.add(counter)

    def end_refused(self) -> list[int]:
        """End the waits for what was refused; their numbers."""
        return [number for counter in tuple(self._refused) for number in self.end_of(counter)]

    def again_refused(self, not_before_us: int) -> None:
        """Ask for what was refused again, not before an instant."""
        refused, self._refused = self._refused, set()
        for counter in refused:
            self.again(counter, not_before_us)

    def quantities(self, counter: CounterName) -> list[int]:
        """For how much each waits, in the order in which they came."""
        return list(self._of.get(counter, {}).values())

    def any_ready(self, now_us: int) -> bool:
        """Whether there are counters that may be asked about now."""
        while self._later and self._later[0][0] <= now_us:
            at_us, _, counter = heapq.heappop(self._later)
            if self._not_before.get(counter) == at_us:
                del self._not_before[counter]
                self._make_ready(counter)
        return bool(self._ready)

    def take_ready(self, now_us: int, most: int) -> list[CounterName]:
        """Some of the counters that may be asked about now: of each company one, and so on.

        They are being asked about then.
        """
        taken: list[CounterName] = []
        while len(taken) < most and self.any_ready(now_us):
            company, counters = self._ready.popitem(last=False)
            counter, _ = counters.popitem(last=False)
            taken.append(counter)
            if counters:
                self._ready[company] = counters
        return taken

    def next_us(self) -> int | None:
        """When a counter may be asked about that may not be yet."""
        while self._later and self._not_before.get(self._later[0][2]) != self._later[0][0]:
            heapq.heappop(self._later)
        return self._later[0][0] if self._later else None

    def put_off(self, counter: CounterName, not_before_us: int) -> None:
        """A counter is not to be asked about before an instant."""
        if counter in self._ready.get(counter.company, ()):
            self._unready(counter)
            self.again(counter, not_before_us)

    def asked(self, counter: CounterName) -> None:
        """A counter is being asked about: not again before the answer."""
        self._unready(counter)
        self._not_before.pop(counter, None)
        self._refused.discard(counter)

    def again(self, counter: CounterName, not_before_us: int = 0) -> None:
        """An answer came, and calls wait still: ask again, perhaps not before an instant."""
        if counter not in self._of:
            return
        if not not_before_us:
            self._make_ready(counter)
        elif counter not in self._not_before:
            self._not_before[counter] = not_before_us
            heapq.heappush(self._later, (not_before_us, next(self._numbers), counter))

    def _make_ready(self, counter: CounterName) -> None:
        self._ready.setdefault(counter.company, OrderedDict())[counter] = None

    def _unready(self, counter: CounterName) -> None:
        counters = self._ready.get(counter.company)
        if counters is not None:
            counters.pop(counter, None)
            if not counters:
                del self._ready[counter.company]
