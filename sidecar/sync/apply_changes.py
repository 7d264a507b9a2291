"""Applying what the plane says of catalog and companies: in bounded steps, one change at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import msgspec

from sidecar.directory.directory import Directory
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_steps
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.watch.watchlist import Watchlist


class ChangesApplier:
    """Writes changes, wakes those who watch, and sets `catalog_known` once there is a catalog."""

    def __init__(
        self,
        directory: Directory,
        runner: Runner,
        watchlist: Watchlist,
        catalog_known: asyncio.Event,
    ) -> None:
        self._directory = directory
        self._runner = runner
        self._watchlist = watchlist
        self._catalog_known = catalog_known
        self._turn = asyncio.Lock()

    async def apply(self, changes: SnapshotChanges, without: Collection[str] = ()) -> None:
        """Apply changes, after those that came before.

        `without`: companies that are left out, as is known when it is their turn.
        """
        async with self._turn:
            if without:
                present = [found for found in changes.companies if found.company not in without]
                changes = msgspec.structs.replace(changes, companies=present)
            await in_steps(self._runner, self._directory.applying(changes))
        self._watchlist.applied(changes)
        if self._directory.index is not None:
            self._catalog_known.set()
