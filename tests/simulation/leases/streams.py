"""Watches that are open at the plane: what changed is told to each, in order, a moment later."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync_answers
from sidecar.control.services import snapshots
from sidecar.control.services.totals import changes, newest_version, total_told
from sidecar.control.storage.values import CounterState, TotalsPosition
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import SECOND_US

if TYPE_CHECKING:
    from tests.simulation.leases.plane import Plane

COALESCE_US: Final = 200_000
HEARTBEAT_US: Final = 4 * SECOND_US
_CHANGES_MAX: Final = 10_000

Send = Callable[[sync_pb2.WatchSnapshotsResponse], bool]


class Stream:
    """One open watch. `send` carries a message, or says that the way is broken."""

    def __init__(
        self, incarnation: str, position: snapshots.ResumePosition, version: int, send: Send
    ) -> None:
        self.incarnation = incarnation
        self.position = position
        self.version = version
        self.revision = -1
        self.epoch = ""
        self.spoke_us = 0
        self.send = send


class Streams:
    """All of them."""

    def __init__(self, plane: Plane) -> None:
        self._plane = plane
        self._open: list[Stream] = []
        self._is_due = False

    def open(self, incarnation: str, revision: int, known_version: int, send: Send) -> None:
        """Begin a watch, if anybody is there.

        `known_version`: of the ledger, up to which the caller knows all; the rest is told first.
        """
        plane = self._plane

        def work() -> None:
            position = snapshots.start(
                plane.store,
                revision,
                False,
                plane.now_us,
                incarnation=incarnation,
                accepts_spans=True,
                accepts_changes=True,
                accepts_kinds=True,
            )
            version = min(known_version, newest_version(plane.store))
            self._open.append(Stream(incarnation, position, version, send))
            self.flush()

        plane.run(work)

    def wake(self) -> None:
        """Something was committed: tell it soon."""
        if not self._is_due and self._open:
            self._is_due = True
            self._plane.timeline.after(COALESCE_US, self._flush_due)

    def beat(self) -> None:
        """Say to those that were told nothing for long that the plane is there."""
        now_us = self._plane.timeline.now_us
        if any(now_us - stream.spoke_us >= HEARTBEAT_US for stream in self._open):
            self._plane.run(self.flush)

    def break_all(self) -> None:
        """End every watch."""
        for stream in tuple(self._open):
            self._end(stream)

    def watching(self) -> set[str]:
        """Who watches."""
        return {stream.incarnation for stream in self._open}

    def recall(self, incarnation: str, recalls: Sequence[sync_pb2.CounterAddress]) -> None:
        """Ask a sidecar to give leases back, if it watches."""
        for stream in self._open:
            if stream.incarnation == incarnation:
                message = self._message(stream, ())
                message.recalls.extend(recalls)
                self._send(stream, message)

    def _flush_due(self) -> None:
        self._is_due = False
        self._plane.run(self.flush)

    def flush(self) -> None:
        """Tell everyone what is new."""
        store = self._plane.store
        with store.read() as reading:
            state = reading.state()
        told: dict[int, tuple[list[CounterState], int]] = {}
        for stream in tuple(self._open):
            if stream.epoch not in ("", state.epoch):
                self._end(stream)  # it ends with EPOCH_CHANGED
                continue
            stream.epoch = state.epoch
            if stream.revision < state.revision:
                self._tell_pages(stream)
            if stream.version not in told:
                position = TotalsPosition(stream.version)
                told[stream.version] = changes(store, position, _CHANGES_MAX)
            changed, version = told[stream.version]
            quiet_us = self._plane.timeline.now_us - stream.spoke_us
            if changed or quiet_us >= HEARTBEAT_US:
                stream.version = version
                totals = [total_told(stream.incarnation, each) for each in changed]
                self._send(stream, self._message(stream, totals))

    def _tell_pages(self, stream: Stream) -> None:
        complete = False
        while not complete:
            messages, page, stream.position = sync_answers.watch_page(
                self._plane.store, stream.position, stream.incarnation, self._plane.now_us
            )
            complete = page.complete
            for message in messages:
                self._send(stream, message)
            stream.revision = page.revision

    def _message(
        self, stream: Stream, totals: Sequence[CounterTotal]
    ) -> sync_pb2.WatchSnapshotsResponse:
        return sync_answers.watch_totals(stream.epoch, stream.revision, totals, self._plane.now_us)

    def _send(self, stream: Stream, message: sync_pb2.WatchSnapshotsResponse) -> None:
        if stream not in self._open:
            return  # what comes behind something that was lost must not be heard
        stream.spoke_us = self._plane.timeline.now_us
        if not stream.send(message):
            self._end(stream)

    def _end(self, stream: Stream) -> None:
        self._open.remove(stream)
        self._plane.heard_us[stream.incarnation] = self._plane.timeline.now_us
