"""Looks after the store once a second: whether it takes records, and how full it is.

A store that takes none is a trouble: readiness is off until it does, since calls that count are
refused. The look writes, so that a disk that fails is noticed without a call. What fails otherwise,
in maintenance or in a call, counts until the next look.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from sidecar.domain.errors import FieldError
from sidecar.engine.runner import Runner
from sidecar.shared.ops.levels import Disk, Level, disk_level, disk_of
from sidecar.shared.ops.trouble import Trouble
from sidecar.storage import keys
from sidecar.storage.facts import write_fact
from sidecar.storage.room import require_room_for_records, reserve_bytes
from sidecar.storage.store import Store

LOOK_SECONDS: Final = 1.0
_OF_THE_STORE: Final = ("STORE_FULL", "STORE_FAILED")


class StoreWatch:
    """Keeps `trouble` and levels up to date, and figures for metrics and status.

    `folder`: of the store, empty for none.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        trouble: Trouble,
        *,
        folder: str = "",
        outbox_records_max: int = 1_000_000,
    ) -> None:
        self._store = store
        self._runner = runner
        self._folder = folder
        self._outbox_records_max = outbox_records_max
        self._failure: tuple[str, str] | None = None
        self._used_bytes = 0
        self.reserve_bytes = reserve_bytes(store.engine)
        self._store_level = Level("store")
        self._outbox_level = Level("outbox")
        self._disk_level = disk_level()
        self.trouble = trouble
        self.disk = Disk()

    async def run(self) -> None:
        """Look once a second, for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_SECONDS)

    def failed(self, reason: str, error: str) -> None:
        """Something failed; where it was for the store, that is a trouble at the next look."""
        if reason in _OF_THE_STORE:
            self._failure = (reason, error)

    async def look(self) -> None:
        """Take a look."""
        try:
            await self._runner.run_alone(partial(self._step, again=bool(self.trouble.reason)))
        except FieldError as error:
            self.failed(error.reason, error.message)
        failure, self._failure = self._failure, None
        if failure is None:
            self.trouble.end()
        else:
            self.trouble.begin(*failure)
        self._look_at_levels()

    def _step(self, *, again: bool) -> None:
        engine = self._store.engine
        self._used_bytes = engine.used_bytes()
        self.reserve_bytes = reserve_bytes(engine)
        require_room_for_records(engine, again=again)
        write_fact(self._store, keys.META_PROBE, None)

    def _look_at_levels(self) -> None:
        self._store_level.look(self._used_bytes, self._store.engine.max_bytes())
        self._outbox_level.look(self._store.waiting_records(), self._outbox_records_max)
        disk = self.disk = disk_of(self._folder)
        self._disk_level.look(disk.size_bytes - disk.free_bytes, disk.size_bytes)
