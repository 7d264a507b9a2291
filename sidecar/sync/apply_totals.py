"""Hearing what the plane counts: totals are taken over in bounded steps, however many come."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial

from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.slices import pages
from sidecar.engine.runner import Runner
from sidecar.storage.counters import HEARD_AT_ONCE, Counters
from sidecar.watch.watchlist import Watchlist


class TotalsApplier:
    """Takes over totals, and wakes those who watch their companies."""

    def __init__(self, counters: Counters, runner: Runner, watchlist: Watchlist) -> None:
        self._counters = counters
        self._runner = runner
        self._watchlist = watchlist

    async def hear(self, incarnation: str, totals: Sequence[CounterTotal]) -> None:
        """Take over totals that the plane sent to an incarnation of this store."""
        for some in pages(totals, HEARD_AT_ONCE):
            await self._runner.run_alone(partial(self._counters.hear, incarnation, some))
            self._watchlist.heard(some)
            await asyncio.sleep(0)
