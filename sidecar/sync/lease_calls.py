"""Leases at the control plane: messages out and in, and what of an answer can be believed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final, cast

import grpc
import grpc.aio
import structlog

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.errors import InvalidInput
from sidecar.domain.leases.model import LeaseEntry, LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, is_level
from sidecar.domain.slices import Slices
from sidecar.engine.slicing import in_slices
from sidecar.shared.call_errors import error_info
from sidecar.shared.convert.leases import (
    held_lease_to_message,
    lease_numbers_to_messages,
    lease_request_to_message,
    lease_result_from_message,
    name_from_message,
)
from sidecar.sync.exchanges import CALL_SECONDS, Exchanges
from sidecar.sync.plane_answers import PlaneAway, failure_of

_REPORTED_AT_ONCE: Final = 1_000


class EpochChanged(PlaneAway):
    """The plane's state is not the one that the caller knows."""


class IncarnationLeft(Exception):
    """The store takes another incarnation than the one that an exchange is of."""


log = structlog.get_logger(__name__)


class LeaseCalls:
    """Asks the plane for leases, and reports them."""

    def __init__(self, exchanges: Exchanges) -> None:
        self._exchanges = exchanges

    async def request(
        self, incarnation: str, epoch: str, requests: Sequence[LeaseRequest], seconds: float
    ) -> list[LeaseResult]:
        """Ask; the results in the order of the requests. Raises `PlaneAway`, `EpochChanged`.

        An answer that is none to what was asked is taken for a refusal.
        """
        message = sync_pb2.RequestLeasesRequest(incarnation=incarnation, epoch=epoch)
        await in_slices(_add_requests(message, requests))
        stub = self._exchanges.stub
        try:
            answer = await self._exchanges.exchange(
                stub.RequestLeases, message, sync_pb2.RequestLeasesResponse, seconds
            )
        except grpc.aio.AioRpcError as error:
            raise _failure_of(error) from error
        return await in_slices(_results(requests, answer))

    async def report(self, incarnation: str, epoch: str, entries: Sequence[LeaseEntry]) -> None:
        """Say what is held, at most 1,000 leases of it. Raises `PlaneAway`, `EpochChanged`."""
        assert len(entries) <= _REPORTED_AT_ONCE
        message = sync_pb2.ReportLeasesRequest(incarnation=incarnation, epoch=epoch)
        await in_slices(_add_held(message, entries))
        await self._report(message)

    async def report_complete(
        self, incarnation: str, epoch: str, numbers: Mapping[str, int]
    ) -> None:
        """Say that all that is held was said. Raises `PlaneAway`, `EpochChanged`.

        `numbers`: of the last requests, of the present and of earlier incarnations.
        """
        message = sync_pb2.ReportLeasesRequest(
            incarnation=incarnation,
            epoch=epoch,
            complete=True,
            numbers=lease_numbers_to_messages(numbers),
        )
        await self._report(message)

    async def _report(self, message: sync_pb2.ReportLeasesRequest) -> None:
        stub = self._exchanges.stub
        try:
            await self._exchanges.exchange(
                stub.ReportLeases, message, sync_pb2.ReportLeasesResponse, CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            raise _failure_of(error) from error


def recalls_in_slices(messages: Sequence[sync_pb2.CounterAddress]) -> Slices[list[CounterName]]:
    """The counters whose leases are asked back; one that there cannot be is left out."""
    counters: list[CounterName] = []
    for at, message in enumerate(messages):
        with suppress(InvalidInput):
            counters.append(name_from_message(message, f"recalls[{at}]"))
        yield
    return counters


def _add_requests(
    message: sync_pb2.RequestLeasesRequest, requests: Sequence[LeaseRequest]
) -> Slices[None]:
    for request in requests:
        message.requests.append(lease_request_to_message(request))
        yield


def _add_held(message: sync_pb2.ReportLeasesRequest, entries: Sequence[LeaseEntry]) -> Slices[None]:
    for entry in entries:
        message.leases.append(held_lease_to_message(entry))
        yield


def _results(
    requests: Sequence[LeaseRequest], answer: sync_pb2.RequestLeasesResponse
) -> Slices[list[LeaseResult]]:
    if len(answer.results) != len(requests):
        told = f"{len(answer.results)} answers to {len(requests)} requests for leases"
        raise PlaneAway(told)
    results: list[LeaseResult] = []
    for at, (request, message) in enumerate(zip(requests, answer.results, strict=True)):
        try:
            falls = is_level(request.counter.counter.slot)
            result = lease_result_from_message(message, f"results[{at}]", falls=falls)
            _require_answer(request, result)
        except InvalidInput as error:
            # One counter about which both disagree must not keep others from their leases.
            log.debug("leases.odd_answer", company=request.counter.company, error=str(error))
            result = LeaseResult(request.number, LeaseStatus.REFUSED)
        results.append(result)
        yield
    return results


def _require_answer(request: LeaseRequest, result: LeaseResult) -> None:
    """Raise `InvalidInput` where a result answers another request, or grants what was not asked."""
    if result.number != request.number:
        raise InvalidInput("number", f"is {result.number}, not {request.number}")
    if result.status is not LeaseStatus.GRANTED:
        return
    least, most = request.used + request.need, request.most
    if result.granted > most or (request.need and result.granted < least):
        raise InvalidInput("granted", f"is {result.granted}, where {least} to {most} was asked for")


def _failure_of(error: grpc.aio.AioRpcError) -> PlaneAway:
    info = error_info(cast("grpc.Call", error))  # it only reads details and metadata
    if info is not None and info.reason == "EPOCH_CHANGED":
        return EpochChanged("the plane's state is another")
    return failure_of(error)
