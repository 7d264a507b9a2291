"""Voids in the background what is left of credits once a subscription is over, as plans say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_steps
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.unused_credits import (
    KeptUnusedTerms,
    companies_with_unused,
    void_unused,
)

ROUND_S: Final = 10.0
"""All companies with grants are looked at so often, or less often where they are many."""
REST_SHARE: Final = 9
REST_S_MAX: Final = 5.0
"""After each page the task rests nine times as long as it took, but no longer."""


class UnusedCreditsTask:
    """The background task. `clock` gives microseconds that have passed for certain."""

    def __init__(
        self, workers: Workers, hub: Hub, metrics: ControlMetrics, clock: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._kept = KeptUnusedTerms()
        self._after = ""
        self._round_due_s = 0.0

    async def run(self) -> None:
        """Look at a page of companies at a time, from the first to the last, until cancelled."""
        await in_steps(self._step, "control.unused_credits_not_voided")

    async def _step(self) -> bool:
        began_s = time.monotonic()
        if not self._after:
            if began_s < self._round_due_s:
                return False
            self._round_due_s = began_s + ROUND_S
        now_us = self._clock()
        found, self._after = await self._workers.read(
            companies_with_unused, self._kept, self._after, now_us
        )
        if found:
            voided, holders = await self._workers.write(void_unused, self._kept, found, now_us)
            for _ in range(voided):
                self._metrics.credit_changes.add("voided")
            await self._hub.refresh()
            self._hub.note_change()
            self._metrics.leases.recalled.add(self._hub.recall(holders))
        await asyncio.sleep(min((time.monotonic() - began_s) * REST_SHARE, REST_S_MAX))
        return bool(self._after)
