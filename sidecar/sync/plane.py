"""The control plane, as the sidecar sees it: messages out and in."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Final, Protocol

import grpc
import msgspec

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.domain.text import KNOWN_NAMES
from sidecar.engine.slicing import in_slices
from sidecar.shared.convert.leases import name_to_message
from sidecar.storage.folder_marks import StoreLoss
from sidecar.storage.outbox import OutboxRun
from sidecar.storage.quarantine import LostRecords
from sidecar.sync.exchanges import CALL_SECONDS, Exchanges, parsed_apart
from sidecar.sync.lease_calls import recalls_in_slices
from sidecar.sync.ledger_versions import LedgerVersions
from sidecar.sync.losses import lost_store
from sidecar.sync.machine.push import HelloAnswer, PushAnswer, PushFenced, PushGap
from sidecar.sync.machine.watch import WatchStep
from sidecar.sync.plane_answers import (
    FetchAnswer,
    ListedTotals,
    PlaneAway,
    describe,
    fetched_in_slices,
    got_in_slices,
    listed_in_slices,
    pushed_in_slices,
    refusal_of,
    watch_step_in_slices,
)
from sidecar.sync.told_companies import Wanted, read_companies

_LOST_MAX: Final = 16  # that a greeting tells of
_CAPABILITIES: Final = (
    sync_pb2.CAPABILITY_LEASES,
    sync_pb2.CAPABILITY_RATE_SHARES,
    sync_pb2.CAPABILITY_SEATS,
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


class PlaneGreeting(msgspec.Struct, frozen=True):
    """What the plane says of itself.

    `epoch`: one life of its database; empty from a plane that does not say. `is_fenced`: whether it
    takes no more from the incarnation that greeted.
    """

    epoch: str
    grants_leases: bool
    is_fenced: bool


class PlaneClient:
    """Tells the plane of usage, and hears what decisions go by.

    `greeted` is told what the plane says of itself, `recalled` the counters whose leases it asks
    back, and `left_out` how many totals of an answer cannot be kept. `lost_stores`: earlier ones;
    every greeting tells the plane of them.
    """

    def __init__(
        self,
        exchanges: Exchanges,
        *,
        node: str,
        version: str,
        greeted: Callable[[PlaneGreeting], None],
        recalled: Callable[[Sequence[CounterName]], None],
        left_out: Callable[[int], None],
        lost_stores: Sequence[StoreLoss] = (),
    ) -> None:
        self._exchanges = exchanges
        self._stub = exchanges.stub
        self._node = node
        self._version = version
        self._greeted = greeted
        self._recalled = recalled
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
            capabilities=_CAPABILITIES,
        )
        answer = await self._exchanges.call(self._stub.Hello, request, sync_pb2.HelloResponse)
        KNOWN_NAMES.require("epoch", answer.epoch, IDENTIFIER_BYTES_MAX)
        grants_leases = sync_pb2.CAPABILITY_LEASES in answer.capabilities
        self._greeted(PlaneGreeting(answer.epoch, grants_leases, answer.fenced))
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
            answer = await self._exchanges.exchange(
                self._stub.PushUsage, request, sync_pb2.PushUsageResponse, CALL_SECONDS
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
            accepts_kinds=True,
        )
        kind = sync_pb2.FetchSnapshotsResponse
        told: list[bytes] = []
        answer = await self._exchanges.call(self._stub.FetchSnapshots, request, kind, seconds, told)
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
        answer = await self._exchanges.call(self._stub.ListTotals, request, kind, seconds)
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
            counters=map(name_to_message, names),
        )
        kind = sync_pb2.GetTotalsResponse
        answer = await self._exchanges.call(self._stub.GetTotals, request, kind, seconds)
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
                accepts_kinds=True,
            )
        )
        try:
            async for data in call:
                self._exchanges.heard()
                answer, companies = await parsed_apart(sync_pb2.WatchSnapshotsResponse, data)
                told = await read_companies(companies, wanted)
                step = await in_slices(watch_step_in_slices(answer, told, self._versions))
                self._note_left_out(answer, step.totals)
                if answer.recalls:
                    self._recalled(await in_slices(recalls_in_slices(answer.recalls)))
                yield step
        except grpc.aio.AioRpcError as error:
            raise PlaneAway(describe(error)) from error
        finally:
            call.cancel()

    def _note_left_out(self, answer: _WithTotals, kept: Sequence[CounterTotal]) -> None:
        """Count totals that cannot be kept: they are left out, without keeping others away."""
        if left_out := len(answer.totals) - len(kept):
            self._left_out(left_out)
