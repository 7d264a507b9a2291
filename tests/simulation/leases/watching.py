"""News down: snapshots, totals and recalls of one watch after another, on virtual time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.convert.leases import name_from_message
from sidecar.shared.convert.times import instant
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.storage.watch_position import WatchPosition
from sidecar.sync.machine.watch import Apply, StartOver, WatchMachine
from tests.simulation.told import step_told

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process

SILENCE_US: Final = 9 * SECOND_US
"""Sooner than a sidecar's 20 seconds: an outage then costs a run less."""
RETRY_US: Final = SECOND_US


class Watching:
    """Follows the plane, a stream at a time."""

    def __init__(self, process: Process) -> None:
        self._process = process
        position = process.snapshots.position()
        self._machine = WatchMachine(position.epoch, position.revision)
        self._stream = 0
        self._known_version = 0
        self._heard_us = 0

    def open(self) -> None:
        """Begin a stream in the place of the one there is."""
        process = self._process
        self._stream += 1
        stream, self._heard_us = self._stream, process.ticks_us
        incarnation, revision = process.store.incarnation.id, self._machine.resume_revision()
        version, link = self._known_version, process.pod.link

        def send(message: sync_pb2.WatchSnapshotsResponse) -> bool:
            return not process.is_dead and link.stream(
                lambda: process.live(lambda: self._told(stream, incarnation, message))
            )

        streams = process.world.plane.streams
        link.up(lambda: streams.open(incarnation, revision, version, send))
        process.after(SILENCE_US, lambda: self._listen(stream))

    def reopen(self) -> None:
        """Begin anew, and be told of all totals."""
        self._known_version = 0
        self.open()

    def broken(self) -> None:
        """The connection is gone: try again in a while."""
        self._stream += 1
        stream = self._stream
        self._process.pushing.plane_was_away()
        self._process.after(RETRY_US, lambda: self.open() if self._stream == stream else None)

    def hear(self, incarnation: str, totals: Sequence[CounterTotal]) -> None:
        """Take over totals."""
        if not self._process.counters.hear(incarnation, totals):
            self._known_version = 0

    def _listen(self, stream: int) -> None:
        """Give up a stream on which nothing was heard for long."""
        if stream != self._stream:
            return
        silent_us = self._process.ticks_us - self._heard_us
        if silent_us >= SILENCE_US:
            self.broken()
        else:
            self._process.after(SILENCE_US - silent_us, lambda: self._listen(stream))

    def _told(
        self, stream: int, incarnation: str, message: sync_pb2.WatchSnapshotsResponse
    ) -> None:
        process = self._process
        if stream != self._stream:
            return
        if process.store.incarnation.id != incarnation:
            self.reopen()
            return
        self._heard_us = process.ticks_us
        process.heard(None, instant(message.plane_time, "plane_time"))
        step = step_told(message)
        action = self._machine.stepped(step)
        if isinstance(action, StartOver):
            self.reopen()
            return
        if message.recalls:
            process.leasing.recalled(
                [name_from_message(recall, "recalls") for recall in message.recalls]
            )
        self.hear(incarnation, step.totals)
        if step.totals:
            self._known_version = max(total.version for total in step.totals)
        process.status.known_us, process.status.heard_since = process.now_us, 1
        if isinstance(action, Apply):
            position = None
            if action.revision is not None:
                position = WatchPosition(action.epoch, action.revision)
            process.directory.apply(
                SnapshotChanges(
                    action.catalog,
                    action.companies,
                    action.removed,
                    position,
                    replace=action.replace,
                )
            )
