"""Hearing what the plane counts: totals are taken over in bounded steps, however many come."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial

from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.slices import pages
from sidecar.engine.runner import Runner
from sidecar.storage.counters import HEARD_AT_ONCE, Counters
from sidecar.sync.machine.coverage import Coverage
from sidecar.watch.watchlist import Watchlist


class TotalsApplier:
    """Takes over totals, and wakes those who watch their companies.

    `coverage` is told where totals were not taken: they are to be asked for again.
    """

    def __init__(
        self, counters: Counters, runner: Runner, watchlist: Watchlist, coverage: Coverage
    ) -> None:
        self._counters = counters
        self._runner = runner
        self._watchlist = watchlist
        self._coverage = coverage

    async def hear(
        self,
        incarnation: str,
        totals: Sequence[CounterTotal],
        follows: Callable[[str], bool] | None = None,
    ) -> bool:
        """Take over totals that the plane sent to an incarnation of this store; False: not taken.

        `follows`: whether counters of a company are wanted that the store does not have; `None`:
        all are. It is called on the store's thread.
        """
        for some in pages(totals, HEARD_AT_ONCE):
            hear = partial(self._counters.hear, incarnation, some, follows)
            if not await self._runner.run_alone(hear):
                self._coverage.missed()
                return False
            self._watchlist.heard(some)
            await asyncio.sleep(0)
        return True
