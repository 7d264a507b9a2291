"""What a call needs and the store lacks: got before it is answered, as far as it can be had."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence, Set
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

import msgspec

from sidecar.directory.directory import Directory
from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.runner import Runner

T = TypeVar("T")

Deadline: TypeAlias = Callable[[], float | None]
"""Seconds that are left to the caller; `None` for no end. A function, since few calls ask."""


class SnapshotSource(Protocol):
    """Where companies' snapshots come from when they are not held."""

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        """Get them, within the caller's remaining time; come back without what can't be had."""
        ...


class TotalsSource(Protocol):
    """Where totals of counters come from of which nothing was heard."""

    async def fetch(self, counters: Sequence[CounterName], seconds: float | None) -> None:
        """Get them, within the caller's remaining time; come back without what can't be had."""
        ...


class LeaseSource(Protocol):
    """Where leases of counters come from."""

    async def fetch(self, needs: Collection[LeaseNeed], seconds: float | None) -> bool:
        """Get them, within the caller's remaining time; whether any was granted."""
        ...


class SnapshotFetcher:
    """Gets what is missing from its sources; `None`: there is none, as nothing can be missing."""

    def __init__(
        self,
        directory: Directory,
        runner: Runner,
        source: SnapshotSource | None,
        totals: TotalsSource | None = None,
        leases: LeaseSource | None = None,
    ) -> None:
        self._directory = directory
        self._runner = runner
        self._source = source
        self._totals = totals
        self._leases = leases

    async def run(self, step: Callable[[Needs], T | Needs], now_us: int, deadline: Deadline) -> T:
        """Run a step, and again while it needs something that was not asked for yet."""
        result = await self._runner.run(lambda: step(NOTHING))
        if isinstance(result, Needs):
            return await self.run_again(step, result, now_us, deadline)
        return result

    async def run_again(
        self,
        step: Callable[[Needs], T | Needs],
        needs: Needs,
        now_us: int,
        deadline: Deadline,
        asked: Needs = NOTHING,
    ) -> T:
        """Get what a step needs, as far as it can be had, and run it again, until it needs nothing.

        `asked`: what it makes do with already. What was asked for once is not needed again, but for
        leases that others have spent by then: those so many times at the most (`LEASE_TRIES_MAX`).
        So this comes to an end.
        """
        waited = 0.0
        while True:
            with self._directory.wanting(asked.snapshots | needs.snapshots):
                await self.obtain(asked.snapshots | needs.snapshots, now_us, deadline)
                if needs.counters and self._totals is not None:
                    await self._totals.fetch(list(needs.counters), deadline())
                if needs.leases:
                    started = time.monotonic()
                    needs = await self._with_leases(asked, needs, deadline, waited)
                    waited += time.monotonic() - started
                asked = asked.with_more(needs)
                result = await self._runner.run(partial(step, asked))
            if not isinstance(result, Needs):
                return result
            needs = result

    async def _with_leases(
        self, asked: Needs, needs: Needs, deadline: Deadline, waited: float
    ) -> Needs:
        """Get leases; the needs, with those alone that can't be had.

        `waited`: seconds that went by for leases already. They are left out twice, so that all
        waits together are no longer than the first might have been.
        """
        seconds = deadline()
        if seconds is not None:
            seconds = max(0.0, seconds - waited)
        granted = self._leases is not None and await self._leases.fetch(needs.leases, seconds)
        lacking = frozenset[LeaseNeed]() if granted else needs.leases
        return msgspec.structs.replace(needs, leases=lacking, lease_tries=asked.lease_tries + 1)

    @asynccontextmanager
    async def obtained(
        self, companies: Set[str], now_us: int, deadline: Deadline
    ) -> AsyncIterator[None]:
        """Get companies' snapshots, and keep them for as long as the block lasts."""
        with self._directory.wanting(companies):
            await self.obtain(companies, now_us, deadline)
            yield

    async def obtain(self, companies: Set[str], now_us: int, deadline: Deadline) -> None:
        """Get snapshots of companies that are not held, as far as they can be had."""
        source = self._source
        if source is None:
            return
        missing = await self._runner.run(
            lambda: [name for name in companies if not self._directory.holds(name, now_us)]
        )
        if missing:
            await source.fetch(missing, deadline())
