"""The control plane, as the sidecar sees it: messages out and in."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import Any, Final, TypeVar, cast

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message

from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.slices import Slices
from sidecar.domain.text import KNOWN_NAMES
from sidecar.engine.slicing import in_slices
from sidecar.shared.call_errors import error_info
from sidecar.shared.convert.catalog import catalog_snapshot_in_slices
from sidecar.shared.convert.counters import totals_in_slices
from sidecar.shared.convert.parsing import parsed_in_slices
from sidecar.shared.convert.snapshots import snapshots_in_slices
from sidecar.shared.convert.times import instant
from sidecar.storage.outbox import OutboxRun
from sidecar.sync.machine.push import HelloAnswer, PushAnswer, PushFenced, PushGap
from sidecar.sync.machine.watch import WatchStep

_REFUSALS: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        grpc.StatusCode.UNIMPLEMENTED,
    }
)
_CALL_SECONDS: Final = 10.0
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
    ("grpc.max_reconnect_backoff_ms", 5_000),
)

M = TypeVar("M", bound=Message)
Answer = TypeVar(
    "Answer",
    sync_pb2.HelloResponse,
    sync_pb2.PushUsageResponse,
    sync_pb2.FetchSnapshotsResponse,
)


class PlaneAway(Exception):
    """No usable answer from the plane."""


class PlaneRefuses(PlaneAway):
    """The plane answers, and does not take what it was sent: trying again helps nothing."""


class HelloFacts(msgspec.Struct, frozen=True):
    """What an incarnation says of itself."""

    incarnation: str
    last_sequence: int
    acknowledged_sequence: int
    acknowledged_chain: bytes
    last_chain: bytes


class FetchAnswer(msgspec.Struct, frozen=True):
    """Snapshots that were asked for. `left_out`: companies to be asked for again."""

    catalog: CatalogSnapshot | None
    companies: Sequence[CompanySnapshot]
    unknown: Sequence[str]
    totals: Sequence[CounterTotal]
    left_out: Sequence[str] = ()


class PlaneClient:
    """Calls the plane's `SyncService`.

    `heard` is called whenever it answers. `exchanged` is told when a call was sent and its answer
    received, by `ticks`, and the plane's time; all in microseconds.
    """

    def __init__(
        self,
        address: str,
        *,
        node: str,
        version: str,
        ticks: Callable[[], int],
        exchanged: Callable[[int, int, int], None],
        heard: Callable[[], None],
    ) -> None:
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        answers: Any = _AnswersAsBytes(self._channel)
        self._stub = sync_pb2_grpc.SyncServiceStub(answers)
        self._node = node
        self._version = version
        self._ticks = ticks
        self._exchanged = exchanged
        self._heard = heard

    async def hello(self, facts: HelloFacts) -> HelloAnswer:
        """Introduce an incarnation."""
        request = sync_pb2.HelloRequest(
            incarnation=facts.incarnation,
            last_sequence=facts.last_sequence,
            node=self._node,
            version=self._version,
            acknowledged_sequence=facts.acknowledged_sequence,
            acknowledged_chain=facts.acknowledged_chain,
            last_chain=facts.last_chain,
        )
        answer = await self._call(self._stub.Hello, request, sync_pb2.HelloResponse)
        return HelloAnswer(answer.watermark, answer.fenced, answer.common_sequence)

    async def push(self, run: OutboxRun) -> PushAnswer | PushGap | PushFenced:
        """Send a run of records."""
        request = sync_pb2.PushUsageRequest(
            incarnation=run.incarnation,
            first_sequence=run.first_sequence,
            previous_chain=run.previous_chain,
            records=run.records,
        )
        try:
            answer = await self._exchange(
                self._stub.PushUsage, request, sync_pb2.PushUsageResponse, _CALL_SECONDS
            )
        except grpc.aio.AioRpcError as error:
            return _refusal(error)
        totals = await in_slices(totals_in_slices(answer.totals, "totals"))
        return PushAnswer(answer.watermark, totals)

    async def fetch(
        self,
        incarnation: str,
        companies: Sequence[str],
        known_catalog_version: int,
        seconds: float,
    ) -> FetchAnswer:
        """Get snapshots of companies."""
        request = sync_pb2.FetchSnapshotsRequest(
            incarnation=incarnation,
            companies=companies,
            known_catalog_version=known_catalog_version,
            accepts_spans=True,
        )
        kind = sync_pb2.FetchSnapshotsResponse
        answer = await self._call(self._stub.FetchSnapshots, request, kind, seconds)
        return await in_slices(_fetched(answer))

    async def watch(
        self, incarnation: str, resume_revision: int, *, without_companies: bool
    ) -> AsyncGenerator[WatchStep, None]:
        """Follow changes, until the plane or the caller ends it; raises `PlaneAway`."""
        call = self._stub.WatchSnapshots(
            sync_pb2.WatchSnapshotsRequest(
                incarnation=incarnation,
                resume_revision=resume_revision,
                without_companies=without_companies,
                accepts_spans=True,
            )
        )
        try:
            async for data in call:
                self._heard()
                answer = await _parsed(sync_pb2.WatchSnapshotsResponse, data)
                yield await in_slices(_watch_step(answer))
        except grpc.aio.AioRpcError as error:
            raise PlaneAway(_describe(error)) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._channel.close()

    async def _call(
        self, method: Any, request: Any, kind: type[Answer], seconds: float = _CALL_SECONDS
    ) -> Answer:
        """A unary call; raises `PlaneAway`."""
        try:
            return await self._exchange(method, request, kind, seconds)
        except grpc.aio.AioRpcError as error:
            raise _failure(error) from error

    async def _exchange(
        self, method: Any, request: Any, kind: type[Answer], seconds: float
    ) -> Answer:
        """A unary call that also tells the time; raises the error of gRPC, or `PlaneAway`."""
        sent_us = self._ticks()
        data = await method(request, timeout=seconds)
        received_us = self._ticks()
        answer = await _parsed(kind, data)
        try:
            plane_us = instant(answer.plane_time, "plane_time")
        except InvalidInput as error:
            raise PlaneAway(f"an answer of no time: {error}") from error
        self._exchanged(sent_us, received_us, plane_us)
        self._heard()
        return answer


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


_SEQUENCE: Final = re.compile(r"[0-9]{1,20}", re.ASCII)
_REFUSED_AT: Final = (
    ("SEQUENCE_GAP", "expected_sequence", PushGap),
    ("FENCED", "common_sequence", PushFenced),
)
"""Reasons, and where they say which record is meant."""


def _refusal(error: grpc.aio.AioRpcError) -> PushGap | PushFenced:
    """What a push was refused for; raises `PlaneAway` where it was not refused but failed."""
    info = error_info(cast("grpc.Call", error))  # it only reads details and metadata
    if info is not None:
        for reason, name, refusal in _REFUSED_AT:
            sequence = info.metadata.get(name, "")
            if info.reason == reason and _SEQUENCE.fullmatch(sequence):
                return refusal(int(sequence))
    raise _failure(error) from error


def _failure(error: grpc.aio.AioRpcError) -> PlaneAway:
    kind = PlaneRefuses if error.code() in _REFUSALS else PlaneAway
    return kind(_describe(error))


def _describe(error: grpc.aio.AioRpcError) -> str:
    return f"{error.code().name}: {error.details()}"


def _fetched(answer: sync_pb2.FetchSnapshotsResponse) -> Slices[FetchAnswer]:
    return FetchAnswer(
        catalog=(yield from _catalog(answer)),
        companies=(yield from snapshots_in_slices(answer.companies, "companies")),
        unknown=_companies(answer.unknown_companies),
        totals=(yield from totals_in_slices(answer.totals, "totals")),
        left_out=_companies(answer.left_out_companies),
    )


def _companies(names: Iterable[str]) -> tuple[str, ...]:
    """Those that there can be: of another company there is nothing to do."""
    return tuple(name for name in names if KNOWN_NAMES.identifier_problem(name) is None)


def _watch_step(answer: sync_pb2.WatchSnapshotsResponse) -> Slices[WatchStep]:
    KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
    return WatchStep(
        epoch=answer.epoch,
        revision=answer.revision,
        complete=answer.complete,
        catalog=(yield from _catalog(answer)),
        companies=(yield from snapshots_in_slices(answer.companies, "companies")),
        removed=_companies(answer.removed_companies),
        totals=(yield from totals_in_slices(answer.totals, "totals")),
    )


def _catalog(
    answer: sync_pb2.FetchSnapshotsResponse | sync_pb2.WatchSnapshotsResponse,
) -> Slices[CatalogSnapshot | None]:
    if not answer.HasField("catalog"):
        return None
    return (yield from catalog_snapshot_in_slices(answer.catalog, "catalog"))
