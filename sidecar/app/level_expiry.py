"""Has what is in use of levels come back once its time is over, by itself.

At rest where nothing has a time to live: nothing is looked at then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Final

from sidecar.domain.errors import FieldError
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.levels import Levels
from sidecar.engine.runner import Runner

ITEMS_AT_ONCE: Final = 20
"""Items of one step: each is a record and a few counters."""
_LOOK_SECONDS: Final = 0.05
"""How often it is looked while anything has a time to live; clocks may be moved meanwhile."""
_RETRY_SECONDS: Final = 1.0


class LevelExpiry:
    """Takes back items that are over, for as long as `run` is running.

    `now`: the time gone by. `touched`: called for each with its company and feature. `failed`: told
    why a store takes nothing back, for now.
    """

    def __init__(
        self,
        levels: Levels,
        runner: Runner,
        now: Callable[[], int],
        touched: Callable[[str, str], object],
        failed: Callable[[str, str], object],
    ) -> None:
        self._levels, self._runner, self._now = levels, runner, now
        self._touched, self._failed = touched, failed
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._woken = False
        self.expired = 0
        levels.on_expiring = self._expiring

    async def run(self) -> None:
        """Take back what is over, for ever."""
        while True:
            self._wake.clear()
            self._woken = False  # what gets a time to live from now on is seen, or wakes
            try:
                next_us = await self.once()
            except FieldError as error:
                self._failed(error.reason, error.message)
                await asyncio.sleep(_RETRY_SECONDS)
                continue
            if next_us is None:
                await self._wake.wait()
            elif next_us > self._now():
                await asyncio.sleep(min(_LOOK_SECONDS, (next_us - self._now()) / SECOND_US))

    async def once(self) -> int | None:
        """Take back some; when the next one is over, `None` for never."""
        step = partial(self._levels.expire, self._now(), ITEMS_AT_ONCE)
        expired = await self._runner.run_alone(step)
        self.expired += len(expired.items)
        for item in expired.items:
            self._touched(item.company, item.feature)
        return expired.next_us

    def _expiring(self) -> None:
        """Something has a time to live; called on the store's thread."""
        if not self._woken:
            self._woken = True
            self._loop.call_soon_threadsafe(self._wake.set)
