"""The control plane, as the sidecar sees it: messages out and in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import grpc
import msgspec
from google.protobuf.message import DecodeError, Message

from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.counters import counter_to_message
from sidecar.shared.convert.parsing import apart_in_slices, parsed_in_slices
from sidecar.shared.convert.times import instant
from sidecar.storage.folder_marks import StoreLoss
from sidecar.storage.outbox import OutboxRun
from sidecar.storage.quarantine import LostRecords
from sidecar.sync.ledger_versions import LedgerVersions
from sidecar.sync.losses import lost_store
from sidecar.sync.machine.push import HelloAnswer, PushAnswer, PushFenced, PushGap
from sidecar.sync.machine.watch import WatchStep
from sidecar.sync.plane_answers import (
    FetchAnswer,
    ListedTotals,
    PlaneAway,
    describe,
    failure_of,
    fetched_in_slices,
    got_in_slices,
    listed_in_slices,
    pushed_in_slices,
    refusal_of,
    watch_step_in_slices,
)
from sidecar.sync.told_companies import Wanted, read_companies

_CALL_SECONDS: Final = 10.0
_LOST_MAX: Final = 16  # that a greeting tells of
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
)


class _WithTotals(Protocol):
    @property
    def totals(self) -> Sequence[sync_pb2.CounterTotal]: ...


class HelloFacts(msgspec.Struct, frozen=True):
    """What an incarnation says of itself; with the newest records that the store has lost."""

    incarnation: str
    last_sequence: int
    acknowledged_sequence: int
    acknowledged_chain: bytes
    last_chain: bytes
    lost_records: Sequence[LostRecords] = ()


class PlaneClient:
    """Calls the plane's `SyncService`.

    `heard` is called whenever it answers. `exchanged` is told when a call was sent and its answer
    received, by `ticks`, and the plane's time; all in microseconds. `left_out`: how many totals of
    an answer cannot be kept. `lost_stores`: earlier ones; every greeting tells the plane of them.
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
        left_out: Callable[[int], None],
        lost_stores: Sequence[StoreLoss] = (),
    ) -> None:
        self.channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        answers: Any = _AnswersAsBytes(self.channel)
        self._stub = sync_pb2_grpc.SyncServiceStub(answers)
        self._node = node
        self._version = version
        self._ticks = ticks
        self._exchanged = exchanged
        self._heard = heard
        self._left_out = left_out
        self._versions = LedgerVersions()
        self._lost_stores = [lost_store(loss) for loss in lost_stores]

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
            lost_stores=[*self._lost_stores, *map(lost_store, facts.lost_records)][-_LOST_MAX:],
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
            return refusal_of(error)
        pushed = await in_slices(pushed_in_slices(answer, self._versions))
        self._note_left_out(answer, pushed.totals)
        return pushed

    async def fetch(
        self, incarnation: str, companies: Sequence[str], known_catalog_version: int, seconds: float
    ) -> FetchAnswer:
        """Get snapshots of companies, by any of their ids."""
        request = sync_pb2.FetchSnapshotsRequest(
            incarnation=incarnation,
            companies=companies,
            known_catalog_version=known_catalog_version,
            accepts_spans=True,
            accepts_changes=True,
            accepts_names=True,
        )
        kind = sync_pb2.FetchSnapshotsResponse
        told: list[bytes] = []
        answer = await self._call(self._stub.FetchSnapshots, request, kind, seconds, told)
        known = await read_companies(told)
        fetched = await in_slices(fetched_in_slices(answer, known, self._versions))
        self._note_left_out(answer, fetched.totals.totals)
        return fetched

    async def list_totals(
        self,
        incarnation: str,
        companies: Sequence[str],
        after_version: int,
        token: str,
        seconds: float,
    ) -> ListedTotals:
        """Get a page; raises `PlaneLacks` if there is none, `PlaneAway` if pages do not go on."""
        request = sync_pb2.ListTotalsRequest(
            incarnation=incarnation,
            companies=companies,
            after_version=after_version,
            page_token=token,
        )
        kind = sync_pb2.ListTotalsResponse
        answer = await self._call(self._stub.ListTotals, request, kind, seconds)
        if token and answer.next_page_token == token:
            raise PlaneAway("its pages of totals do not go on")
        listed = await in_slices(listed_in_slices(answer, self._versions))
        self._note_left_out(answer, listed.totals)
        return listed

    async def get_totals(
        self, incarnation: str, names: Sequence[CounterName], seconds: float
    ) -> Sequence[CounterTotal]:
        """Get the totals of single counters; raises `PlaneLacks` where the plane tells none."""
        request = sync_pb2.GetTotalsRequest(
            incarnation=incarnation,
            counters=[
                sync_pb2.CounterAddress(
                    company=name.company,
                    feature=name.feature,
                    counter=counter_to_message(name.counter),
                )
                for name in names
            ],
        )
        kind = sync_pb2.GetTotalsResponse
        answer = await self._call(self._stub.GetTotals, request, kind, seconds)
        totals = await in_slices(got_in_slices(answer, self._versions))
        self._note_left_out(answer, totals)
        return totals

    async def watch(
        self,
        incarnation: str,
        resume_revision: int,
        *,
        without_companies: bool,
        wanted: Wanted | None = None,
    ) -> AsyncGenerator[WatchStep, None]:
        """Follow changes, until the plane or the caller ends it; raises `PlaneAway`.

        `wanted`: which companies are read; the others are passed over. `None`: all.
        """
        call = self._stub.WatchSnapshots(
            sync_pb2.WatchSnapshotsRequest(
                incarnation=incarnation,
                resume_revision=resume_revision,
                without_companies=without_companies,
                accepts_spans=True,
                accepts_changes=True,
            )
        )
        try:
            async for data in call:
                self._heard()
                answer, companies = await _parsed_apart(sync_pb2.WatchSnapshotsResponse, data)
                told = await read_companies(companies, wanted)
                step = await in_slices(watch_step_in_slices(answer, told, self._versions))
                self._note_left_out(answer, step.totals)
                yield step
        except grpc.aio.AioRpcError as error:
            raise PlaneAway(describe(error)) from error
        finally:
            call.cancel()

    async def close(self) -> None:
        """Let go of the connection."""
        await self.channel.close()

    async def _call(
        self,
        method: Any,
        request: Any,
        kind: type[Answer],
        seconds: float = _CALL_SECONDS,
        companies: list[bytes] | None = None,
    ) -> Answer:
        """A unary call; raises `PlaneAway`. `companies`: takes those of the answer, encoded."""
        try:
            return await self._exchange(method, request, kind, seconds, companies)
        except grpc.aio.AioRpcError as error:
            raise failure_of(error) from error

    async def _exchange(
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
            answer, told = await _parsed_apart(kind, data)
            companies += told
        try:
            plane_us = instant(answer.plane_time, "plane_time")
        except InvalidInput as error:
            raise PlaneAway(f"an answer of no time: {error}") from error
        self._exchanged(sent_us, received_us, plane_us)
        self._heard()
        return answer

    def _note_left_out(self, answer: _WithTotals, kept: Sequence[CounterTotal]) -> None:
        """Count totals that cannot be kept: they are left out, without keeping others away."""
        if left_out := len(answer.totals) - len(kept):
            self._left_out(left_out)


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


async def _parsed_apart(kind: type[M], data: bytes) -> tuple[M, list[bytes]]:
    """The same but for its companies, which stay encoded."""
    try:
        return await in_slices(apart_in_slices(kind, data, "companies"))
    except DecodeError as error:
        raise PlaneAway(f"an answer that is none: {error}") from error
