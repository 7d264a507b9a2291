"""Snapshots that a call needs and the store lacks: got before it is answered, if they can be."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence, Set
from contextlib import asynccontextmanager
from typing import Protocol, TypeAlias, TypeVar

from sidecar.directory.directory import Directory
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


class SnapshotFetcher:
    """Gets what is missing from a source; `None`: there is none, as nothing can be missing."""

    def __init__(self, directory: Directory, runner: Runner, source: SnapshotSource | None) -> None:
        self._directory = directory
        self._runner = runner
        self._source = source

    async def run(self, step: Callable[[Needs], T | Needs], now_us: int, deadline: Deadline) -> T:
        """Run a step, and once more if it needs something first."""
        result = await self._runner.run(lambda: step(NOTHING))
        if not isinstance(result, Needs):
            return result
        needs = result
        async with self.obtained(needs.snapshots, now_us, deadline):
            result = await self._runner.run(lambda: step(needs))
        assert not isinstance(result, Needs), "what was asked for is not needed again"
        return result

    @asynccontextmanager
    async def obtained(
        self, companies: Set[str], now_us: int, deadline: Deadline
    ) -> AsyncIterator[None]:
        """Get snapshots, and keep them for as long as the block lasts, whoever else arrives."""
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
