"""Seats of a process on virtual time: `sync/seating.py` without tasks, by the same rules."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import seat_answers
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.seat_answers import ReleaseAnswer, SeatAnswer, SeatAsk
from sidecar.engine.seats import SeatEngine
from sidecar.shared.convert.leases import name_to_message
from sidecar.shared.convert.seats import (
    seat_from_message,
    seat_request_to_message,
    seat_result_from_message,
)
from sidecar.shared.convert.times import instant
from sidecar.storage.seats import SeatPosition, Seats
from sidecar.storage.transaction import Transaction

if TYPE_CHECKING:
    from tests.simulation.kinds.sidecars import KindProcess

PATIENCE_US: Final = 500 * MILLISECOND_US
SILENCE_US: Final = 9 * SECOND_US
RETRY_US: Final = SECOND_US
TELL_US: Final = SECOND_US
UNTOLD_AT_ONCE: Final = 200

Then = Callable[[SeatResult | None], None]


class SeatTold(msgspec.Struct, frozen=True):
    """What somebody was answered about a seat. `asked`: the plane was, and has answered.

    `by_policy`: the plane could not be asked, and the fail policy has decided.
    """

    request: SeatRequest
    has_seat: bool
    asked: bool
    by_policy: bool
    reason: str


class Seating:
    """Answers calls about seats, and hears of those that others got."""

    def __init__(self, process: KindProcess) -> None:
        self._process = process
        self.seats = Seats(process.store)
        self.engine = SeatEngine(process.store, process.directory, process.status, self.seats)
        self._waiting: list[tuple[SeatRequest, Then]] = []
        self._is_asking = self._is_telling = False
        self._stream = 0
        self._heard_us = 0

    def begin(self) -> None:
        """Begin with what goes on in the background."""
        self.open()
        self._tell()

    @property
    def is_through(self) -> bool:
        """Whether the plane knows all that was done without it."""
        return not self.seats.untold(1)

    def acquire(self, request: SeatRequest) -> None:
        """Answer a call for a seat, now or later."""
        result = self._step(lambda step: self.engine.acquire(step, request))
        if isinstance(result, Needs):  # a snapshot, which comes by the watch or is not to be had
            asked = NOTHING.with_more(result)
            result = self._step(lambda step: self.engine.acquire(step, request, asked))
        if not isinstance(result, SeatAsk):
            self._answered(request, result, None)
            return
        ask = result.request

        def then(told: SeatResult | None) -> None:
            answer = self._step(lambda step: self.engine.told(step, ask, told))
            self._answered(ask, answer, told, is_asked=True)

        self._ask(ask, then)

    def _answered(
        self, request: SeatRequest, answer: Any, told: SeatResult | None, *, is_asked: bool = False
    ) -> None:
        assert isinstance(answer, SeatAnswer)
        decision = answer.decision
        by_policy = is_asked and told is None
        self._process.kinds.seat_told(
            self._process,
            SeatTold(request, decision.allowed, told is not None, by_policy, decision.reason.name),
        )

    def release(self, request: SeatRequest) -> None:
        """Give a seat back."""
        ask = self._step(lambda step: self.engine.release(step, request))
        assert isinstance(ask, SeatAsk)

        def then(told: SeatResult | None) -> None:
            try:
                answer = self._step(lambda step: self.engine.released(step, request, told))
            except FieldError as error:
                released, reason = False, error.reason
            else:
                assert isinstance(answer, ReleaseAnswer)
                released, reason = answer.released, "RELEASED" if answer.released else "NOT_HELD"
            is_told = told is not None
            self._process.kinds.seat_told(
                self._process, SeatTold(request, not released, is_told, not is_told, reason)
            )

        self._ask(ask.request, then)

    def list_holders(self, company: str, feature: str) -> None:
        """Ask the plane who has seats now."""
        process = self._process

        def limits(step: Transaction) -> Sequence[CounterName]:
            return self.engine.limits(step, company, feature, process.now_us)[1]

        try:
            names = self._step(limits)
        except FieldError:
            return  # nothing is known of the company yet
        for name in names:
            request = sync_pb2.ListSeatsRequest(
                incarnation=process.store.incarnation.id,
                counter=name_to_message(name),
                page_size=seat_answers.PAGE_MAX,
            )
            process.ask("ListSeats", request, lambda _: None)

    def _step(self, work: Callable[[Transaction], Any]) -> Any:
        return self._process.store.transact(work)

    def _ask(self, request: SeatRequest, then: Then) -> None:
        """Ask the plane, within the caller's patience."""
        is_open = True

        def once(result: SeatResult | None) -> None:
            nonlocal is_open
            if is_open:
                is_open = False
                then(result)

        self._waiting.append((request, once))
        self._process.after(PATIENCE_US, lambda: once(None))
        self._ask_next()

    def _ask_next(self) -> None:
        if self._is_asking or not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        self._is_asking = True

        def done(results: list[SeatResult] | None) -> None:
            self._is_asking = False
            for at, (_, then) in enumerate(waiting):
                then(None if results is None else results[at])
            self._ask_next()

        self._exchange([request for request, _ in waiting], done)

    def _exchange(
        self, requests: list[SeatRequest], done: Callable[[list[SeatResult] | None], None]
    ) -> None:
        """Ask, and have the store know the answer; one that comes late is left alone."""
        process, incarnation = self._process, self._process.store.incarnation.id
        is_open = True

        def answered(answer: Any) -> None:
            nonlocal is_open
            if not is_open:
                return
            is_open = False
            if not isinstance(answer, sync_pb2.AssignSeatsResponse):
                done(None)
                return
            results = [seat_result_from_message(each, "results") for each in answer.results]
            totals = [total for result in results for total in result.totals]
            process.watching.hear(incarnation, totals)
            seats = [seat for result in results for seat in result.seats]
            self.seats.take(seats, answer.version, answer.epoch)
            done(results)

        request = sync_pb2.AssignSeatsRequest(
            incarnation=incarnation, requests=map(seat_request_to_message, requests)
        )
        process.ask("AssignSeats", request, answered)
        process.after(PATIENCE_US, lambda: answered(None))

    def _tell(self) -> None:
        """Tell what was done without the plane, now and then."""
        requests = [] if self._is_telling else self.seats.untold(UNTOLD_AT_ONCE)

        def done(results: list[SeatResult] | None) -> None:
            self._is_telling = False
            if results is not None:
                self.seats.are_told(requests)

        if requests:
            self._is_telling = True
            self._exchange(requests, done)
        self._process.after(TELL_US, self._tell)

    def open(self) -> None:
        """Begin a watch in the place of the one there is."""
        process, position = self._process, self.seats.position
        self._stream += 1
        stream, self._heard_us = self._stream, process.ticks_us
        link = process.pod.link

        def send(message: sync_pb2.WatchSeatsResponse) -> bool:
            is_wanted = stream == self._stream and not process.is_dead
            return is_wanted and link.stream(
                lambda: process.live(lambda: self._told(stream, message))
            )

        streams = process.kinds.plane.seat_streams
        link.up(lambda: streams.open(position.version, position.epoch, send))
        process.after(SILENCE_US, lambda: self._listen(stream))

    def broken(self) -> None:
        """The connection is gone: try again in a while."""
        self._stream += 1
        stream = self._stream
        self._process.after(RETRY_US, lambda: self.open() if self._stream == stream else None)

    def _listen(self, stream: int) -> None:
        if stream != self._stream:
            return
        silent_us = self._process.ticks_us - self._heard_us
        if silent_us >= SILENCE_US:
            self.broken()
        else:
            self._process.after(SILENCE_US - silent_us, lambda: self._listen(stream))

    def _told(self, stream: int, message: sync_pb2.WatchSeatsResponse) -> None:
        if stream != self._stream:
            return
        process, seats = self._process, self.seats
        self._heard_us = process.ticks_us
        process.heard(None, instant(message.plane_time, "plane_time"))
        if message.anew or message.epoch != seats.position.epoch:
            seats.begin_anew(message.epoch)
        changes: list[Seat] = [seat_from_message(each, "changes") for each in message.changes]
        seats.hear(changes, None)
        position = seats.position
        if message.until_version > position.version:
            reached = SeatPosition(message.epoch, message.until_version, position.generation)
            seats.hear((), reached)
