"""The plane with seats: what it answers about them, and the watches of who follows them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import seat_answers
from sidecar.control.rpc.seat_answers import SeatDesk
from sidecar.control.services.seat_lists import seat_changes
from sidecar.control.services.sweep import forget_seats
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from tests.simulation.leases.disks import Killed
from tests.simulation.leases.given_up import GivenUp
from tests.simulation.leases.plane import Answer, Plane
from tests.simulation.leases.virtual import Timeline

if TYPE_CHECKING:
    from tests.simulation.kinds.seat_book import SeatBook

GATHER_US: Final = 50 * MILLISECOND_US
HEARTBEAT_US: Final = 4 * SECOND_US

Send = Callable[[sync_pb2.WatchSeatsResponse], bool]


class KindPlane(Plane):
    """A plane whose seats are asked for. `seat_book` is told of what it answers."""

    def __init__(self, timeline: Timeline, given_up: GivenUp, seat_book: SeatBook) -> None:
        self.seat_streams = SeatStreams(self)
        self.seat_book = seat_book
        super().__init__(timeline, given_up)

    def crash(self) -> None:
        """End at once."""
        self.seat_streams.break_all()
        super().crash()

    def _begin(self) -> None:
        super()._begin()
        self._desk = SeatDesk(self.witness)

    def _maintain(self) -> None:
        super()._maintain()
        while forget_seats(self.store, self.sure_us):
            pass

    def _answer(self, method: str, request: Any) -> Answer:
        if method == "AssignSeats":
            try:
                answer, _ = self._desk.assign(self.store, request, self.now_us)
            except Killed:  # perhaps it was done, and nobody is told what
                self.seat_book.read_anew(self.store)
                raise
            self.seat_book.assigned(request, answer, self.store)
            return answer
        if method == "ListSeats":
            listed = seat_answers.list_of_counter(self.store, request, self.now_us)
            self.seat_book.listed(request, listed, self.store)
            return listed
        return super()._answer(method, request)

    def _written(self) -> None:
        super()._written()
        self.seat_streams.wake()


class SeatStream:
    """One open watch for seats, with how far it has come."""

    def __init__(self, version: int, epoch: str, send: Send) -> None:
        self.version, self.epoch, self.send = version, epoch, send
        self.spoke_us = -1


class SeatStreams:
    """All of them."""

    def __init__(self, plane: KindPlane) -> None:
        self._plane = plane
        self._open: list[SeatStream] = []
        self._is_due = False

    def open(self, version: int, epoch: str, send: Send) -> None:
        """Begin a watch, if anybody is there."""
        if self._plane.is_down:
            return
        self._open.append(SeatStream(version, epoch, send))
        self._plane.run(self._flush)

    def wake(self) -> None:
        """Something was committed: tell it soon."""
        if not self._is_due and self._open:
            self._is_due = True
            self._plane.timeline.after(GATHER_US, self._flush_due)

    def beat(self) -> None:
        """Say to those that were told nothing for long that the plane is there."""
        if self._open:
            self._plane.run(self._flush)

    def break_all(self) -> None:
        """End every watch."""
        self._open.clear()

    def _flush_due(self) -> None:
        self._is_due = False
        self._plane.run(self._flush)

    def _flush(self) -> None:
        now_us = self._plane.timeline.now_us
        for stream in tuple(self._open):
            told = seat_changes(self._plane.store, stream.version, stream.epoch)
            stream.version, stream.epoch = told.until_version, told.epoch
            is_silent = now_us - stream.spoke_us >= HEARTBEAT_US
            if told.changes or told.is_anew or stream.spoke_us < 0 or is_silent:
                stream.spoke_us = now_us
                if not stream.send(seat_answers.told(told, self._plane.now_us)):
                    self._open.remove(stream)
