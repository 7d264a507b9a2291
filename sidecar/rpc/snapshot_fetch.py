"""What a call needs and the store lacks: got before it is answered, as far as it can be had."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager
from functools import partial
from typing import Protocol, TypeAlias, TypeVar

from sidecar.directory.directory import Directory
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


class SnapshotFetcher:
    """Gets what is missing from its sources; `None`: there is none, as nothing can be missing."""

    def __init__(
        self,
        directory: Directory,
        runner: Runner,
        source: SnapshotSource | None,
        totals: TotalsSource | None = None,
    ) -> None:
        self._directory = directory
        self._runner = runner
        self._source = source
        self._totals = totals

    async def run(self, step: Callable[[Needs], T | Needs], now_us: int, deadline: Deadline) -> T:
        """Run a step, and again while it needs something that was not asked for yet."""
        asked = NOTHING
        result = await self._runner.run(lambda: step(NOTHING))
        while isinstance(result, Needs):
            asked = asked.with_more(result)
            async with self.obtained(asked, now_us, deadline):
                result = await self._runner.run(partial(step, asked))
        return result

    @asynccontextmanager
    async def obtained(self, needs: Needs, now_us: int, deadline: Deadline) -> AsyncIterator[None]:
        """Get what is needed, and keep it for as long as the block lasts, whoever else arrives."""
        with self._directory.wanting(needs.snapshots):
            await self.obtain(needs.snapshots, now_us, deadline)
            if needs.counters and self._totals is not None:
                await self._totals.fetch(list(needs.counters), deadline())
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
