"""Voids in the background what is left of credits once a subscription is over, as plans say."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.background import in_rounds
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.unused_credits import (
    KeptUnusedTerms,
    companies_with_unused,
    void_unused,
)


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

    async def run(self) -> None:
        """Look at a page of companies at a time, from the first to the last, until cancelled."""
        await in_rounds(self._page, self._is_under_way, "control.unused_credits_not_voided")

    def _is_under_way(self) -> bool:
        return bool(self._after)

    async def _page(self) -> None:
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
