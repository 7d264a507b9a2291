"""Moves companies to new versions of their plans in the background, and tells watchers of it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import structlog

from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.plan_moves import forget, forget_due, move_due, move_page
from sidecar.domain.errors import TallydError, Unavailable
from sidecar.domain.time.units import MINUTE_US

IDLE_S: Final = 1.0
PAUSE_S: Final = 0.02
FORGET_US: Final = MINUTE_US

_log = structlog.get_logger(__name__)


class PlanTask:
    """The background task. `clock` gives microseconds since the Unix epoch, as changes get them."""

    def __init__(self, workers: Workers, hub: Hub, clock: Callable[[], int]) -> None:
        self._workers = workers
        self._hub = hub
        self._clock = clock
        self._looked_us = 0

    async def run(self) -> None:
        """Move companies and forget versions, a few at a time, until cancelled."""
        while True:
            try:
                more = await self._step()
            except Unavailable:
                more = False  # told as a trouble of the database
            except TallydError as error:
                _log.warning("control.plan_moves_failed", error=str(error))
                more = False
            await asyncio.sleep(PAUSE_S if more else IDLE_S)

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
