"""Moves companies to new versions of their plans in the background, and tells watchers of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.plan_moves import forget, forget_due, move_due, move_page
from sidecar.domain.time.units import MINUTE_US

FORGET_US: Final = MINUTE_US


class PlanTask:
    """The background task. `clock` gives microseconds since the Unix epoch, as changes get them."""

    def __init__(self, workers: Workers, hub: Hub, clock: Callable[[], int]) -> None:
        self._workers = workers
        self._hub = hub
        self._clock = clock
        self._looked_us = 0

    async def run(self) -> None:
        """Move companies and forget versions, a few at a time, until cancelled."""
        await in_steps(self._step, "control.plan_moves_failed")

    async def _step(self) -> bool:
        now_us = self._clock()
        if await self._workers.read(move_due):
            await self._workers.write(move_page, now_us)
            await self._hub.refresh()
            return True
        if abs(now_us - self._looked_us) < FORGET_US:
            return False
        self._looked_us = now_us
        if await self._workers.read(forget_due, now_us):
            await self._workers.write(forget, now_us)
            await self._hub.refresh()
        return False
