"""Seats at the control plane: messages out and in, and what of an answer can be believed."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import suppress
from typing import Final

import grpc.aio
import msgspec
from google.protobuf.message import DecodeError

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult, SeatsTold
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
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
from sidecar.sync.plane_answers import PlaneAway, failure_of

CHANGES_MAX: Final = 2_000


class SeatsAnswered(msgspec.Struct, frozen=True):
    """Results in the order of the requests, as of a version of an epoch."""

    results: Sequence[SeatResult]
    version: int
    epoch: str


class SeatCalls:
    """Asks the plane for seats, and hears of those that others got."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    async def assign(
        self, incarnation: str, requests: Sequence[SeatRequest], seconds: float
    ) -> SeatsAnswered:
        """Ask. Raises `PlaneAway`, also for an answer that is none to what was asked."""
        message = sync_pb2.AssignSeatsRequest(incarnation=incarnation)
        await in_slices(_add(message, requests))
        answer = await self._exchanges.call(
            self._exchanges.stub.AssignSeats, message, sync_pb2.AssignSeatsResponse, seconds
        )
        return await in_slices(_answered(len(requests), answer))

    async def list_page(
        self, incarnation: str, counter: CounterName, behind: str, most: int, seconds: float
    ) -> tuple[list[Seat], bool]:
        """Seats of a counter behind a holder, and whether there are more. Raises `PlaneAway`."""
        message = sync_pb2.ListSeatsRequest(
            incarnation=incarnation,
            counter=name_to_message(counter),
            after_holder=behind,
            page_size=most,
        )
        answer = await self._exchanges.call(
            self._exchanges.stub.ListSeats, message, sync_pb2.ListSeatsResponse, seconds
        )
        return list(await in_slices(_seats(answer.seats))), answer.more

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
                yield await in_slices(_told(data))
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error
        finally:
            call.cancel()


def _add(message: sync_pb2.AssignSeatsRequest, requests: Sequence[SeatRequest]) -> Slices[None]:
    for request in requests:
        message.requests.append(seat_request_to_message(request))
        yield


def _answered(asked: int, answer: sync_pb2.AssignSeatsResponse) -> Slices[SeatsAnswered]:
    if len(answer.results) != asked:
        raise PlaneAway(f"{len(answer.results)} answers to {asked} requests for seats")
    results: list[SeatResult] = []
    try:
        KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
        for at, result in enumerate(answer.results):
            results.append(seat_result_from_message(result, f"results[{at}]"))
            yield
    except InvalidInput as error:
        raise PlaneAway(f"seats that cannot be: {error}") from error
    return SeatsAnswered(results, answer.version, answer.epoch)


def _told(data: bytes) -> Slices[SeatsTold]:
    try:
        answer = yield from parsed_in_slices(sync_pb2.WatchSeatsResponse, data)
        KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
    except (DecodeError, InvalidInput) as error:
        raise PlaneAway(f"an answer that is none: {error}") from error
    if len(answer.changes) > CHANGES_MAX or not 0 <= answer.until_version < INT64_MAX:
        raise PlaneAway("more changes of seats than a message has, or up to no version")
    changes = yield from _seats(answer.changes)
    return SeatsTold(answer.epoch, changes, answer.until_version, answer.anew)


def _seats(messages: Sequence[sync_pb2.SeatState]) -> Slices[tuple[Seat, ...]]:
    """Seats; one that cannot be kept is left out: it must not keep all others away."""
    seats: list[Seat] = []
    for at, message in enumerate(messages):
        with suppress(InvalidInput):
            seats.append(seat_from_message(message, f"changes[{at}]"))
        yield
    return tuple(seats)
