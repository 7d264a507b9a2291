"""Keeps what is known of what others count: in memory for answers, on disk for a restart."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.storage.coverage import StoredCoverage, read_coverage, write_coverage
from sidecar.storage.store import Store
from sidecar.sync.machine.coverage import Coverage

KEPT_SECONDS: Final = 1.0
"""How long what is known may be ahead of what the disk says: after a restart it is asked again."""


class CoverageKeeper:
    """The coverage of a store. `now`: microseconds by the plane's clock.

    `held_nobody`: whether the store held no company when it was opened.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        plane_status: PlaneStatus,
        now: Callable[[], int],
        *,
        held_nobody: bool,
    ) -> None:
        self._store = store
        self._runner = runner
        self._plane_status = plane_status
        self._now = now
        self._held_nobody = held_nobody
        self._kept = read_coverage(store)
        self._kept_at = 0.0
        self.coverage = Coverage(self._kept.version)
        plane_status.known_us = self._kept.known_us
        if self._kept.version:
            plane_status.heard_since = self._kept.since

    async def restarted(self, version: int, at_us: int) -> None:
        """All that was there at a version of the ledger, and an instant, has been told anew."""
        self.coverage.restarted(version)
        self._plane_status.known_us = at_us
        if version:
            self._plane_status.heard_since = max(version, self._plane_status.heard_since or 0)
        await self.keep()

    async def plane_spoke(self) -> None:
        """The plane has spoken on the stream, and what it said was heard."""
        if self.coverage.is_complete:
            self._plane_status.known_us = self._now()
            if time.monotonic() - self._kept_at >= KEPT_SECONDS:
                await self.keep()

    async def listed(self, version: int) -> None:
        """What changed up to a version was heard."""
        self.coverage.listed(version)
        self._plane_status.known_us = self._now()
        await self.keep()

    async def began_anew(self, version: int, at_us: int) -> None:
        """From a version, and an instant, on everything is heard of some companies.

        What was before was not, but for a store that held nobody: there it is the first.
        """
        status = self._plane_status
        if self._held_nobody and status.known_us is None:
            status.known_us = at_us
        if version:
            status.heard_since = max(version, status.heard_since or 0)
        await self.keep()

    @property
    def part_heard(self) -> int:
        """Companies that are held while totals of theirs are on their way."""
        return len(self._plane_status.part_heard)

    async def heard_in_part(self, companies: Sequence[str], version: int) -> None:
        """Companies are about to be held, of whose totals at a version some are not heard yet."""
        part = dict.fromkeys(companies, version)
        await self._runner.run_alone(partial(self._plane_status.part_heard.update, part))
        await self.keep()

    async def heard_whole(self, companies: Sequence[str], version: int) -> None:
        """All of their totals at that version were heard."""
        part_heard = self._plane_status.part_heard

        def forget() -> None:
            for company in companies:
                if part_heard.get(company) == version:
                    del part_heard[company]

        await self._runner.run_alone(forget)
        await self.keep()

    def incarnation_left(self) -> None:
        """The store is another: what was heard for the one before may lack what a copy counted."""
        self.coverage.stream_began()
        self.coverage.restarted(0)
        self._plane_status.heard_since = self._plane_status.known_us = None

    async def keep(self) -> None:
        """Have the disk know."""
        status = self._plane_status
        # What is on its way would be lost by a restart: then all is to be asked for.
        is_whole = not status.part_heard
        kept = StoredCoverage(
            self.coverage.version if is_whole else 0,
            status.heard_since or 0,
            status.known_us if is_whole else None,
            self._store.incarnation.ordinal,
        )
        if kept != self._kept:
            await self._runner.run_alone(partial(write_coverage, self._store, kept))
            self._kept = kept
        self._kept_at = time.monotonic()
