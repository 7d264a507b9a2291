"""Fills counters of new limits from the ledger in the background, and tells watchers of it.

Steps are small and apart from each other, so that calls go on between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.filling import Filler, any_unfinished, forget_filled
from sidecar.control.services.filling_walk import FillingWalker

FORGET_EVERY: Final = 60
"""Idle rounds between two looks for what may be forgotten."""


class FillingTask:
    """The background task.

    `clock` gives microseconds since the Unix epoch, as far as they have come for certain: what is
    forgotten stays so.
    """

    def __init__(
        self, workers: Workers, hub: Hub, metrics: ControlMetrics, clock: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._walker = FillingWalker()
        self._filler = Filler()
        self._idle = 0

    async def run(self) -> None:
        """Look for new limits and fill their counters, until cancelled."""
        await in_steps(self._step, "control.filling_failed")

    async def _step(self) -> bool:
        looked, filled = await self._look(), await self._fill()
        return looked or filled or await self._forget()

    async def _look(self) -> bool:
        if not await self._workers.read(self._walker.any_left):
            return False
        await self._workers.write(self._walker.step, self._clock())
        return True

    async def _fill(self) -> bool:
        if not await self._workers.read(any_unfinished):
            return False
        added = await self._workers.write(self._filler.step, self._clock())
        self._metrics.filled.add(len(added))
        if added:
            self._hub.note_change()
        return True

    async def _forget(self) -> bool:
        self._idle = (self._idle + 1) % FORGET_EVERY
        return not self._idle and await self._workers.write(forget_filled, self._clock())
