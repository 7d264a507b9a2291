"""The service for sidecars."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, Final

from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc import rate_share_answers, report_answers, sync_answers
from sidecar.control.rpc.lease_answering import LeaseAnswering
from sidecar.control.rpc.request_validation import (
    require_count,
    require_incarnation,
)
from sidecar.control.rpc.seat_serving import SeatServing
from sidecar.control.rpc.watch_hub import Hub, Subscriber
from sidecar.control.rpc.watch_page_cache import Pages
from sidecar.control.rpc.workers import Workers
from sidecar.control.services import snapshots, totals
from sidecar.control.services.rate_shares import RateShares
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import LeaseWitness
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import Unavailable
from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.domain.text import KNOWN_NAMES
from sidecar.shared.convert.leases import name_to_message

HEARTBEAT_S: Final = 4.0
"""Longest silence on a watch; the API promises 5 seconds."""
TOTALS_A_MESSAGE: Final = 1_000
RECALLS_A_MESSAGE: Final = 1_000

Clock = Callable[[], int]


class SyncServicer(sync_pb2_grpc.SyncServiceServicer):
    """SyncService. `clock` gives microseconds since the Unix epoch, `elapsed` what keys age by."""

    def __init__(
        self,
        workers: Workers,
        hub: Hub,
        metrics: ControlMetrics,
        clock: Clock,
        elapsed: Clock,
        witness: LeaseWitness,
        rate_shares: RateShares,
        seats: SeatServing,
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._rate_shares = rate_shares
        self._seats = seats
        self._clock = clock
        self._elapsed = elapsed
        self._pages = Pages(workers, clock)
        self._leases = LeaseAnswering(workers, witness, clock, lambda: hub.watching_incarnations)

    async def Hello(  # noqa: N802
        self, request: sync_pb2.HelloRequest, context: Any
    ) -> sync_pb2.HelloResponse:
        answer = await self._workers.write(sync_answers.hello, request, self._clock())
        self._metrics.sidecars.greeted(
            request.incarnation,
            request.node,
            request.version,
            knows_leases=sync_pb2.CAPABILITY_LEASES in request.capabilities,
        )
        return answer

    async def PushUsage(  # noqa: N802
        self, request: sync_pb2.PushUsageRequest, context: Any
    ) -> sync_pb2.PushUsageResponse:
        response, pushed = await self._workers.write(
            sync_answers.push, request, self._clock(), self._elapsed()
        )
        self._metrics.records.add(pushed.added - pushed.unreadable)
        self._metrics.unreadable.add(pushed.unreadable)
        self._metrics.increments.add(len(pushed.totals))
        self._metrics.sidecars.pushed(request.incarnation, pushed.added, pushed.oldest_accepted_us)
        self._hub.note_interest(request.incarnation, (total.company for total in pushed.totals))
        self._hub.pushed(request.incarnation, pushed.totals)
        self._metrics.leases.recalled.add(self._hub.recall(pushed.recalls))
        return response

    async def FetchSnapshots(  # noqa: N802
        self, request: sync_pb2.FetchSnapshotsRequest, context: Any
    ) -> sync_pb2.FetchSnapshotsResponse:
        # Before they are read: what changes after that is told on the watch.
        self._note_interest(request.incarnation, request.companies)
        self._metrics.sidecars.asked(
            request.incarnation,
            reads_changes=request.accepts_changes,
            knows_kinds=request.accepts_kinds,
        )
        return await self._workers.read(sync_answers.fetch, request, self._clock())

    async def ListTotals(  # noqa: N802
        self, request: sync_pb2.ListTotalsRequest, context: Any
    ) -> sync_pb2.ListTotalsResponse:
        self._note_interest(request.incarnation, request.companies)
        return await self._workers.read(sync_answers.list_totals, request, self._clock())

    async def GetTotals(  # noqa: N802
        self, request: sync_pb2.GetTotalsRequest, context: Any
    ) -> sync_pb2.GetTotalsResponse:
        companies = [address.company for address in request.counters]
        self._note_interest(request.incarnation, companies, "counters[{}].company")
        return await self._workers.read(sync_answers.get_totals, request, self._clock())

    async def RequestLeases(  # noqa: N802
        self, request: sync_pb2.RequestLeasesRequest, context: Any
    ) -> sync_pb2.RequestLeasesResponse:
        call = await self._leases.answered(request)
        response = call.response(self._clock())
        self._metrics.leases.answered(call.results)
        self._metrics.leases.recalled.add(self._hub.recall(list(call.recalls)))
        self._metrics.sidecars.heard(request.incarnation)
        return response

    async def ReportLeases(  # noqa: N802
        self, request: sync_pb2.ReportLeasesRequest, context: Any
    ) -> sync_pb2.ReportLeasesResponse:
        response, reported = await self._workers.write(
            report_answers.report, request, self._clock()
        )
        self._metrics.leases.reported.add(reported.learnt)
        self._metrics.leases.reports_refused.add(reported.refused)
        self._metrics.sidecars.heard(request.incarnation)
        return response

    async def ShareRates(  # noqa: N802
        self, request: sync_pb2.ShareRatesRequest, context: Any
    ) -> sync_pb2.ShareRatesResponse:
        now_us, elapsed_us = self._clock(), self._elapsed()
        return await rate_share_answers.share(self._rate_shares, request, now_us, elapsed_us)

    async def AssignSeats(  # noqa: N802
        self, request: sync_pb2.AssignSeatsRequest, context: Any
    ) -> sync_pb2.AssignSeatsResponse:
        response = await self._seats.assign(request)
        self._metrics.sidecars.heard(request.incarnation)
        return response

    async def ListSeats(  # noqa: N802
        self, request: sync_pb2.ListSeatsRequest, context: Any
    ) -> sync_pb2.ListSeatsResponse:
        return await self._seats.list_of_counter(request)

    async def WatchSeats(  # noqa: N802
        self, request: sync_pb2.WatchSeatsRequest, context: Any
    ) -> AsyncIterator[sync_pb2.WatchSeatsResponse]:
        async for message in self._seats.watch(request):
            yield message

    async def WatchSnapshots(  # noqa: N802
        self, request: sync_pb2.WatchSnapshotsRequest, context: Any
    ) -> AsyncIterator[sync_pb2.WatchSnapshotsResponse]:
        incarnation = require_incarnation(request.incarnation)
        resume = require_count("resume_revision", request.resume_revision, 0, INT64_MAX - 1)
        everything = resume > 0 or not request.without_companies
        with (
            self._hub.watching(incarnation, everything=everything) as watcher,
            self._metrics.sidecars.watching(incarnation),
        ):
            self._metrics.sidecars.asked(
                incarnation,
                reads_changes=request.accepts_changes,
                knows_kinds=request.accepts_kinds,
            )
            position = await self._workers.write(
                snapshots.start,
                resume,
                request.without_companies,
                self._clock(),
                incarnation=incarnation,
                accepts_spans=request.accepts_spans,
                accepts_changes=request.accepts_changes,
                accepts_kinds=request.accepts_kinds,
            )
            await self._hub.refresh()
            watch = _Watch(self._pages, self._workers, self._hub, watcher, position, self._clock)
            async for message in watch.messages():
                yield message

    def _note_interest(
        self, incarnation: str, companies: Sequence[str], field: str = "companies[{}]"
    ) -> None:
        """Remember whom a sidecar works with. Raises `InvalidInput` for what no name can be."""
        require_incarnation(incarnation)
        require_count(field.partition("[")[0], len(companies), 0, sync_answers.NAMES_MAX)
        for at, company in enumerate(companies):
            KNOWN_NAMES.require_identifier(field.format(at), company)
        self._metrics.sidecars.heard(incarnation)
        self._hub.note_interest(incarnation, companies)


class _Watch:
    """Where one watch is, and what it sends next."""

    def __init__(
        self,
        pages: Pages,
        workers: Workers,
        hub: Hub,
        watcher: Subscriber,
        position: snapshots.ResumePosition,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._workers = workers
        self._hub = hub
        self._watcher = watcher
        self._position = position
        self._clock = clock
        self._epoch = hub.state.epoch
        self._revision = 0
        self._heartbeat_due_s = 0.0

    async def messages(self) -> AsyncIterator[sync_pb2.WatchSnapshotsResponse]:
        """Changes and totals as they come, and a heartbeat where nothing else came."""
        async for message in self._changes():
            yield message
        while not self._hub.closing:
            await self._wait()
            if self._hub.state.epoch != self._epoch:
                raise Unavailable("", "the plane's state was replaced", "EPOCH_CHANGED")
            if self._hub.state.revision > self._revision:
                async for message in self._changes():
                    yield message
            while recalls := self._watcher.take_recalls(RECALLS_A_MESSAGE):
                yield self._sent(self._recalls(recalls))
            while told := self._watcher.take_totals(TOTALS_A_MESSAGE):
                yield self._sent(self._totals(told))
            if time.monotonic() >= self._heartbeat_due_s:
                yield self._sent(self._totals([]))

    async def _changes(self) -> AsyncIterator[sync_pb2.WatchSnapshotsResponse]:
        """Every page from the position to the first one that is complete."""
        complete = False
        while not complete and not self._hub.closing:
            start = self._position
            messages, page, self._position = await self._pages.next(
                self._hub.state, start, self._watcher.incarnation
            )
            # Who is told of is not to be decided about without what it has used.
            async for more in self._more_totals(page):
                yield more
            complete = page.complete
            if complete:
                self._revision = page.revision
                if start.with_totals:
                    messages[-1].totals_until_version = start.totals_version
            for message in messages:
                yield self._sent(message)

    async def _more_totals(
        self, page: snapshots.WatchPage
    ) -> AsyncIterator[sync_pb2.WatchSnapshotsResponse]:
        """Usage of a page's companies that did not fit its message: before it."""
        companies = [snapshot.company for snapshot in page.snapshots]
        wanted = totals.TotalsWanted(self._watcher.incarnation, companies)
        listed = page.totals
        while listed.after is not None and not self._hub.closing:
            listed = await self._workers.read(
                totals.list_totals, wanted, listed.after, self._clock()
            )
            yield self._sent(
                sync_answers.watch_totals(
                    self._epoch, self._revision, listed.totals, self._clock(), complete=False
                )
            )

    async def _wait(self) -> None:
        """Wait until something changes or the heartbeat is due."""
        left_s = max(0.0, self._heartbeat_due_s - time.monotonic())
        try:
            await asyncio.wait_for(self._watcher.changed.wait(), left_s)
        except TimeoutError:
            return
        self._watcher.changed.clear()

    def _totals(self, told: Sequence[CounterTotal]) -> sync_pb2.WatchSnapshotsResponse:
        """Totals, and what is complete with them."""
        message = sync_answers.watch_totals(self._epoch, self._revision, told, self._clock())
        message.totals_after_version, message.totals_until_version = self._watcher.take_told()
        return message

    def _recalls(self, keys: Sequence[CounterKey]) -> sync_pb2.WatchSnapshotsResponse:
        """Leases that are asked back."""
        message = sync_answers.watch_totals(self._epoch, self._revision, [], self._clock())
        message.recalls.extend(
            name_to_message(CounterName(key.company, key.feature, key.counter)) for key in keys
        )
        return message

    def _sent(self, message: sync_pb2.WatchSnapshotsResponse) -> sync_pb2.WatchSnapshotsResponse:
        self._heartbeat_due_s = time.monotonic() + HEARTBEAT_S
        return message
