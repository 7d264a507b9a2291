"""Steps of watches, read once for all watchers that are at the same place.

A change wakes everyone who watches, and all who were level are then sent the same. To read it and
build its message takes milliseconds for a catalog, so with hundreds of sidecars the last would
otherwise hear of it a second after the first. Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync_answers
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.snapshots import ResumePosition, WatchPage
from sidecar.control.storage.values import PlaneState

SHARED_MAX: Final = 16
"""Most pages that are kept for others: some may be some pages behind the first."""

Step: TypeAlias = tuple[Sequence[sync_pb2.WatchSnapshotsResponse], WatchPage, ResumePosition]
"""The messages, what they are made of, and the position after them."""
_Place: TypeAlias = tuple[int, str, int, bool, bool, bool, tuple[int, str]]


class Pages:
    """Reads steps. `clock` gives microseconds since the Unix epoch."""

    def __init__(self, workers: Workers, clock: Callable[[], int]) -> None:
        self._workers = workers
        self._clock = clock
        self._state: PlaneState | None = None
        self._shared: OrderedDict[_Place, asyncio.Task[Step]] = OrderedDict()

    async def next(self, state: PlaneState, position: ResumePosition, incarnation: str) -> Step:
        """The step of an incarnation's watch after a position, with `state` or what came later."""
        known = position.known_revision >= position.revision and not position.retold_until[0]
        if position.with_totals or known:
            # Totals tell the caller's own part, and removals are told from what it knows.
            return await self._read(position, incarnation)
        if state != self._state:
            self._state = state
            self._shared.clear()
        place = (
            position.revision,
            position.company,
            position.catalog_version,
            position.accepts_spans,
            position.accepts_changes,
            position.accepts_kinds,
            position.retold_until,
        )
        reading = self._shared.get(place)
        if reading is None:
            reading = self._shared[place] = asyncio.create_task(self._read(position, incarnation))
            reading.add_done_callback(lambda done: self._drop_failed(place, done))
            if len(self._shared) > SHARED_MAX:
                self._shared.popitem(last=False)
        # A watcher that leaves does not take it from the others.
        return await asyncio.shield(reading)

    async def _read(self, position: ResumePosition, incarnation: str) -> Step:
        return await self._workers.read(
            sync_answers.watch_page, position, incarnation, self._clock()
        )

    def _drop_failed(self, place: _Place, done: asyncio.Task[Step]) -> None:
        """Whoever comes next tries again."""
        failed = done.cancelled() or done.exception() is not None
        if failed and self._shared.get(place) is done:
            del self._shared[place]
