"""Exchanges with the control plane: one message out and one in, within bounds of time and size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

import grpc
from google.protobuf.message import DecodeError, Message

from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.domain.errors import InvalidInput
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.parsing import apart_in_slices, parsed_in_slices
from sidecar.shared.convert.times import instant
from sidecar.sync.plane_answers import PlaneAway, failure_of

CALL_SECONDS: Final = 10.0
_MESSAGE_BYTES_MAX: Final = 64 << 20
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", _MESSAGE_BYTES_MAX),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    # What a lost ping waits for; without it a connection that died silently is noticed after 60 s.
    ("grpc.http2.ping_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)

M = TypeVar("M", bound=Message)
Answer = TypeVar(
    "Answer",
    sync_pb2.HelloResponse,
    sync_pb2.PushUsageResponse,
    sync_pb2.FetchSnapshotsResponse,
    sync_pb2.ListTotalsResponse,
    sync_pb2.GetTotalsResponse,
    sync_pb2.RequestLeasesResponse,
    sync_pb2.ReportLeasesResponse,
    sync_pb2.ShareRatesResponse,
    sync_pb2.AssignSeatsResponse,
    sync_pb2.ListSeatsResponse,
)


class Exchanges:
    """The connection to the plane's `SyncService`; `stub` has its methods, whose answers are bytes.

    `heard` is called whenever the plane answers. `exchanged` is told when a call was sent and its
    answer received, by `ticks`, and the plane's time; all in microseconds.
    """

    def __init__(
        self,
        address: str,
        *,
        ticks: Callable[[], int],
        exchanged: Callable[[int, int, int], None],
        heard: Callable[[], None],
    ) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        answers: Any = _AnswersAsBytes(self.channel)
        self.stub = sync_pb2_grpc.SyncServiceStub(answers)
        self.heard = heard
        self._ticks = ticks
        self._exchanged = exchanged

    async def call(
        self,
        method: Any,
        request: Any,
        kind: type[Answer],
        seconds: float = CALL_SECONDS,
        companies: list[bytes] | None = None,
    ) -> Answer:
        """A unary call; raises `PlaneAway`. `companies`: takes those of the answer, encoded."""
        try:
            return await self.exchange(method, request, kind, seconds, companies)
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error

    async def exchange(
        self,
        method: Any,
        request: Any,
        kind: type[Answer],
        seconds: float,
        companies: list[bytes] | None = None,
    ) -> Answer:
        """A unary call that also tells the time; raises the error of gRPC, or `PlaneAway`."""
        sent_us = self._ticks()
        data = await method(request, timeout=seconds)
        received_us = self._ticks()
        if companies is None:
            answer = await _parsed(kind, data)
        else:
            answer, told = await parsed_apart(kind, data)
            companies += told
        try:
            plane_us = instant(answer.plane_time, "plane_time")
        except InvalidInput as error:
            raise PlaneAway(f"an answer of no time: {error}") from error
        self._exchanged(sent_us, received_us, plane_us)
        self.heard()
        return answer

    async def close(self) -> None:
        """Let go of the connection."""
        await self.channel.close()


class _AnswersAsBytes:
    """A channel for the generated stub whose answers stay bytes, to be parsed in slices."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel

    def unary_unary(self, method: str, request_serializer: Any, **_: Any) -> Any:
        return self._channel.unary_unary(method, request_serializer)

    def unary_stream(self, method: str, request_serializer: Any, **_: Any) -> Any:
        return self._channel.unary_stream(method, request_serializer)


async def _parsed(kind: type[M], data: bytes) -> M:
    """An answer of the plane; raises `PlaneAway` where it is none."""
    try:
        return await in_slices(parsed_in_slices(kind, data))
    except DecodeError as error:
        raise PlaneAway(f"an answer that is none: {error}") from error


async def parsed_apart(kind: type[M], data: bytes) -> tuple[M, list[bytes]]:
    """The same but for its companies, which stay encoded."""
    try:
        return await in_slices(apart_in_slices(kind, data, "companies"))
    except DecodeError as error:
        raise PlaneAway(f"an answer that is none: {error}") from error
