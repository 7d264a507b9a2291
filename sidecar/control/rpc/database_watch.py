"""Looks after the database once a second: whether it takes what is written, and its disk.

A database that takes nothing is a trouble: readiness is off until it does. What calls or background
work could not write counts until the next look; and while there is reason for doubt, a look writes.
So is a witness of leases that cannot be written; one that is gone is written anew by a look.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final

from sidecar.control.rpc.workers import Workers
from sidecar.control.services.sweep import keep_time
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.witness_port import NOTHING_SEEN, LeaseWitness
from sidecar.domain.errors import TallydError
from sidecar.domain.time.sure import KnownTime
from sidecar.shared.ops.levels import Disk, disk_level, disk_of
from sidecar.shared.ops.trouble import Trouble

LOOK_SECONDS: Final = 1.0
_DOUBTFUL_BYTES: Final = 16 << 20
"""With less than this free on its disk, a look writes."""


class DatabaseWatch:
    """Keeps `trouble`, `disk`, `size_bytes` and `wal_bytes` up to date. `path`: of the database.

    `known`: what is known of the time, which is what a look writes.
    """

    def __init__(
        self,
        workers: Workers,
        trouble: Trouble,
        known: Callable[[], KnownTime],
        path: Path,
        witness: LeaseWitness,
    ) -> None:
        self._workers = workers
        self._witness = witness
        self._known = known
        self._path = path
        self._disk_level = disk_level()
        self.trouble = trouble
        self.disk = Disk()
        self.size_bytes = 0
        self.wal_bytes = 0

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self) -> None:
        """Take a look."""
        disk, self.size_bytes, self.wal_bytes = await asyncio.to_thread(self._sizes)
        self.disk = disk
        self._disk_level.look(disk.size_bytes - disk.free_bytes, disk.size_bytes)
        with contextlib.suppress(TallydError):
            await self._workers.read(_see, self._witness)
        failure = self._workers.taken_failure()
        is_doubtful = disk.size_bytes > 0 and disk.free_bytes < _DOUBTFUL_BYTES
        if failure is None and (self.trouble.reason or is_doubtful):
            try:
                await self._workers.write(keep_time, self._known())
            except TallydError:
                failure = self._workers.taken_failure()
                if failure is None:
                    return  # too many calls wait: that says nothing of the database
        if failure is None:
            self.trouble.end()
        else:
            self.trouble.begin(failure.reason, failure.message)

    def _sizes(self) -> tuple[Disk, int, int]:
        """The disk, and the bytes of the database and of its log; 0 for one in memory."""
        wal = self._path.with_name(f"{self._path.name}-wal")
        return disk_of(str(self._path.parent)), _bytes_of(self._path), _bytes_of(wal)


def _see(_: PlaneStore, witness: LeaseWitness) -> None:
    witness.note(NOTHING_SEEN)


def _bytes_of(path: Path) -> int:
    with contextlib.suppress(OSError):
        return path.stat().st_size
    return 0
