"""Carries unused amounts from window to window in the background, and tells watchers of it.

Steps are small and apart from each other, so that calls go on between them, however many windows
end at once.
"""

from __future__ import annotations

from collections.abc import Callable

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.close_windows import RollingCatalogs, any_due, close_windows
from sidecar.control.services.rollover_walk import Walker


class RolloverTask:
    """The background task.

    `clock` gives microseconds since the Unix epoch, as far as they have come for certain: what is
    closed for good stays so.
    """

    def __init__(
        self, workers: Workers, hub: Hub, metrics: ControlMetrics, clock: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._catalogs = RollingCatalogs()
        self._walker = Walker(self._catalogs)

    async def run(self) -> None:
        """Close windows when they are due and look for new ones, until cancelled."""
        await in_steps(self._step, "control.rollover_failed")

    async def _step(self) -> bool:
        closed, walked = await self._close(), await self._walk()
        return closed or walked

    async def _close(self) -> bool:
        now_us = self._clock()
        if not await self._workers.read(any_due, now_us):
            return False
        changed = await self._workers.write(close_windows, self._catalogs, now_us)
        self._metrics.carried.add(len(changed))
        self._hub.note_change()
        return True

    async def _walk(self) -> bool:
        now_us = self._clock()
        page = await self._workers.read(self._walker.next_page, now_us)
        if page is None:
            return False
        await self._workers.write(self._walker.look_at, page, now_us)
        self._hub.note_change()
        return True
