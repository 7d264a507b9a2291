"""Calls that wait for leases, each as long as it may."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.wall_clock import ticks_us
from sidecar.sync.machine.leasing import LeaseMachine

_PART_OF_REMAINING: Final = 0.75
"""As with `SharedFetches`: what is counted after the wait is to reach its caller still."""


class _Waiting:
    """A need that waits; the future says whether something was granted."""

    __slots__ = ("counter", "future")

    def __init__(self, counter: CounterName, future: asyncio.Future[bool]) -> None:
        self.counter = counter
        self.future = future

    @property
    def is_granted(self) -> bool:
        return self.future.done() and self.future.result()


class LeaseWaiters:
    """Who waits for what the machine asks for. `seconds`: how long a call waits at most."""

    def __init__(self, machine: LeaseMachine, seconds: float) -> None:
        self._machine = machine
        self._seconds = seconds
        self._waiting: dict[int, _Waiting] = {}

    async def wait(
        self, needs: Collection[LeaseNeed], seconds: float | None, begin: Callable[[], object]
    ) -> set[CounterName]:
        """Wait for leases as long as a call may; of which counters something was granted.

        `begin`: has the machine asked for them. Not at all while the plane does not answer.
        """
        patience = self._seconds
        if seconds is not None:
            patience = max(0.0, min(patience, seconds * _PART_OF_REMAINING))
        now_us = ticks_us()
        until_us = now_us + int(patience * SECOND_US)
        loop = asyncio.get_running_loop()
        mine: dict[int, _Waiting] = {}
        for need in needs:
            number = self._machine.needed(now_us, need, until_us)
            if number is not None:
                mine[number] = _Waiting(need.counter, loop.create_future())
        try:
            if mine:
                self._waiting.update(mine)
                begin()
                await asyncio.wait([wait.future for wait in mine.values()], timeout=patience)
        finally:
            for number in mine:
                self._waiting.pop(number, None)
                self._machine.gave_up(number)
        return {wait.counter for wait in mine.values() if wait.is_granted}

    def end(self, ended: Sequence[int], granted: Collection[CounterName] = ()) -> None:
        """Waits are over; of which counters something was granted."""
        for number in ended:
            wait = self._waiting.pop(number, None)
            if wait is not None and not wait.future.done():
                wait.future.set_result(wait.counter in granted)
