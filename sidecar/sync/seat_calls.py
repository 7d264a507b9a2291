"""Seats at the control plane: messages out and in, and what of an answer can be believed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult, SeatStatus, SeatsTold
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.leases import name_to_message
from sidecar.shared.convert.parsing import parsed_in_slices
from sidecar.shared.convert.seats import (
    seat_from_message,
    seat_request_to_message,
    seat_result_from_message,
)
from sidecar.storage.seats import SeatPosition
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.ledger_versions import LedgerVersions
from sidecar.sync.plane_answers import PlaneAway, failure_of

CHANGES_MAX: Final = 2_000
SEATS_OF_RESULT_MAX: Final = 100
"""A holder has one of each limit at most, and few of limits of before; of counters as many."""
_OUTCOMES: Final = {
    False: (SeatStatus.ASSIGNED, SeatStatus.HELD, SeatStatus.EXHAUSTED, SeatStatus.DENIED),
    True: (SeatStatus.RELEASED, SeatStatus.NOT_HELD),
}
"""What can become of a request, by whether it gives a seat back."""


class SeatsAnswered(msgspec.Struct, frozen=True):
    """Results in the order of the requests, as of a version of an epoch."""

    results: Sequence[SeatResult]
    version: int
    epoch: str


class SeatCalls:
    """Asks the plane for seats, and hears of those that others got."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges
        self._versions = LedgerVersions()

    async def assign(
        self, incarnation: str, requests: Sequence[SeatRequest], seconds: float
    ) -> SeatsAnswered:
        """Ask. Raises `PlaneAway`, also for an answer that is none to what was asked."""
        message = sync_pb2.AssignSeatsRequest(incarnation=incarnation)
        await in_slices(_add(message, requests))
        answer = await self._exchanges.call(
            self._exchanges.stub.AssignSeats, message, sync_pb2.AssignSeatsResponse, seconds
        )
        most = self._versions.most(answer.plane_time)
        if not 0 <= answer.version <= most:
            raise PlaneAway(f"seats as of version {answer.version}, which no ledger has")
        self._versions.said(answer.version)
        return await in_slices(_answered(requests, answer))

    async def list_page(
        self, incarnation: str, counter: CounterName, behind: str, most: int, seconds: float
    ) -> tuple[list[Seat], bool]:
        """Seats of a counter behind a holder, and whether there are more.

        Raises `PlaneAway`, also for a page that does not go on behind the holder.
        """
        message = sync_pb2.ListSeatsRequest(
            incarnation=incarnation,
            counter=name_to_message(counter),
            after_holder=behind,
            page_size=most,
        )
        answer = await self._exchanges.call(
            self._exchanges.stub.ListSeats, message, sync_pb2.ListSeatsResponse, seconds
        )
        return await in_slices(_listed(counter, behind, most, answer)), answer.more

    async def watch(
        self, incarnation: str, position: SeatPosition, *, changes_alone: bool
    ) -> AsyncGenerator[SeatsTold, None]:
        """Follow changes, until the plane or the caller ends it; raises `PlaneAway`."""
        call = self._exchanges.stub.WatchSeats(
            sync_pb2.WatchSeatsRequest(
                incarnation=incarnation,
                resume_version=position.version,
                epoch=position.epoch,
                changes_alone=changes_alone,
            )
        )
        try:
            async for data in call:
                self._exchanges.heard()
                told = await in_slices(_told(data))
                self._versions.said(told.until_version)
                yield told
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error
        finally:
            call.cancel()


def _add(message: sync_pb2.AssignSeatsRequest, requests: Sequence[SeatRequest]) -> Slices[None]:
    for request in requests:
        message.requests.append(seat_request_to_message(request))
        yield


def _answered(
    requests: Sequence[SeatRequest], answer: sync_pb2.AssignSeatsResponse
) -> Slices[SeatsAnswered]:
    if len(answer.results) != len(requests):
        raise PlaneAway(f"{len(answer.results)} answers to {len(requests)} requests for seats")
    results: list[SeatResult] = []
    try:
        KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
        for at, (request, message) in enumerate(zip(requests, answer.results, strict=True)):
            if max(len(message.seats), len(message.totals)) > SEATS_OF_RESULT_MAX:
                raise PlaneAway(f"more than {SEATS_OF_RESULT_MAX} seats of one holder")
            result = seat_result_from_message(message, f"results[{at}]")
            if not _is_about(result, request, answer.version):
                raise PlaneAway("an answer about seats that were not asked for")
            results.append(result)
            yield
    except InvalidInput as error:
        raise PlaneAway(f"seats that cannot be: {error}") from error
    return SeatsAnswered(results, answer.version, answer.epoch)


def _is_about(result: SeatResult, request: SeatRequest, version: int) -> bool:
    """Whether a result can be that of a request. Its company may be called otherwise there."""
    names = [(seat.counter.company, seat.counter.feature) for seat in result.seats]
    names += [(total.company, total.feature) for total in result.totals]
    is_asked = all(feature == request.feature for _, feature in names)
    is_asked &= all(seat.holder == request.holder for seat in result.seats)
    versions = [seat.version for seat in result.seats]
    versions += [total.version for total in result.totals]
    is_known = max(versions, default=0) <= version
    is_one = len({company for company, _ in names}) <= 1
    return is_asked and is_known and is_one and result.status in _OUTCOMES[request.is_release]


def _listed(
    counter: CounterName, behind: str, most: int, answer: sync_pb2.ListSeatsResponse
) -> Slices[list[Seat]]:
    if len(answer.seats) > most:
        raise PlaneAway(f"{len(answer.seats)} seats of {most} at most")
    seats = yield from _seats(answer.seats)
    last = behind
    for seat in seats:
        if seat.counter != counter or seat.holder <= last:
            raise PlaneAway("a page of seats that does not go on where it was to")
        last = seat.holder
    if answer.more and not seats:
        raise PlaneAway("an empty page of seats, and more of them")
    return list(seats)


def _told(data: bytes) -> Slices[SeatsTold]:
    try:
        answer = yield from parsed_in_slices(sync_pb2.WatchSeatsResponse, data)
        KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
    except (DecodeError, InvalidInput) as error:
        raise PlaneAway(f"an answer that is none: {error}") from error
    if len(answer.changes) > CHANGES_MAX or not 0 <= answer.until_version < END_INSTANT_US:
        raise PlaneAway("more changes of seats than a message has, or up to no version")
    changes = yield from _seats(answer.changes)
    if any(seat.version > answer.until_version for seat in changes):
        raise PlaneAway("changes of seats of a version that is not reached")
    return SeatsTold(answer.epoch, changes, answer.until_version, answer.anew)


def _seats(messages: Sequence[sync_pb2.SeatState]) -> Slices[tuple[Seat, ...]]:
    """Seats; one that cannot be kept is left out: it must not keep all others away."""
    seats: list[Seat] = []
    for at, message in enumerate(messages):
        with suppress(InvalidInput):
            seats.append(seat_from_message(message, f"changes[{at}]"))
        yield
    return tuple(seats)
