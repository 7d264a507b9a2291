"""A control plane on the other side of the stub: no network, no process, and what the test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from sidecar.api.sync.v1 import sync_pb2
from sidecar.shared.convert.times import timestamp


class StubPlane:
    """Stands in for the stub, whose answers are bytes.

    It takes what is pushed, and fences whom it is told to.

    `common`: for incarnations that are fenced, what it has in common with them. `pages`: what a
    watch is told; `resumed`: from where each was asked for. `fetched`: the answer to a fetch;
    `totals`: what every push is answered. `epoch` and `grants_leases`: what a greeting says;
    `lease_requests`: messages that asked for leases, `grant` answers each lease; `reports` of what
    is held. `listed`: the totals that were asked for; `list_totals`
    answers that. `single`: the addresses of counters that were asked for alone; `get_totals`
    answers that.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.records: dict[str, list[bytes]] = {}
        self.common: dict[str, int] = {}
        self.resumed: list[int] = []
        self.pages: Sequence[sync_pb2.WatchSnapshotsResponse] = ()
        self.fetched = sync_pb2.FetchSnapshotsResponse()
        self.totals: Sequence[sync_pb2.CounterTotal] = ()
        self.epoch = ""
        self.grants_leases = False
        self.lease_requests: list[sync_pb2.RequestLeasesRequest] = []
        self.grant: Callable[[sync_pb2.LeaseRequest], sync_pb2.LeaseResult] = granted
        self.reports: list[sync_pb2.ReportLeasesRequest] = []
        self.listed: list[sync_pb2.ListTotalsRequest] = []
        self.list_totals: Callable[[sync_pb2.ListTotalsRequest], sync_pb2.ListTotalsResponse] = (
            lambda _: sync_pb2.ListTotalsResponse(version=1)
        )
        self.single: list[sync_pb2.CounterAddress] = []
        self.get_totals: Callable[[sync_pb2.GetTotalsRequest], sync_pb2.GetTotalsResponse] = (
            lambda _: sync_pb2.GetTotalsResponse(version=1)
        )

    async def Hello(self, request: sync_pb2.HelloRequest, **_: Any) -> bytes:  # noqa: N802
        await asyncio.sleep(0)
        incarnation = request.incarnation
        return sync_pb2.HelloResponse(
            watermark=self.common.get(incarnation, len(self.records.get(incarnation, ()))),
            fenced=incarnation in self.common,
            common_sequence=self.common.get(incarnation, 0),
            plane_time=timestamp(self._now()),
            epoch=self.epoch,
            capabilities=[sync_pb2.CAPABILITY_LEASES] if self.grants_leases else [],
        ).SerializeToString()

    async def RequestLeases(  # noqa: N802
        self, request: sync_pb2.RequestLeasesRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        self.lease_requests.append(request)
        return sync_pb2.RequestLeasesResponse(
            results=map(self.grant, request.requests), plane_time=timestamp(self._now())
        ).SerializeToString()

    async def ReportLeases(  # noqa: N802
        self, request: sync_pb2.ReportLeasesRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        self.reports.append(request)
        return sync_pb2.ReportLeasesResponse(plane_time=timestamp(self._now())).SerializeToString()

    async def PushUsage(  # noqa: N802
        self, request: sync_pb2.PushUsageRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        records = self.records.setdefault(request.incarnation, [])
        assert len(records) + 1 == request.first_sequence
        records += request.records
        return sync_pb2.PushUsageResponse(
            watermark=len(records), totals=self.totals, plane_time=timestamp(self._now())
        ).SerializeToString()

    async def FetchSnapshots(  # noqa: N802
        self, request: sync_pb2.FetchSnapshotsRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        self.fetched.plane_time.CopyFrom(timestamp(self._now()))
        return self.fetched.SerializeToString()

    async def ListTotals(  # noqa: N802
        self, request: sync_pb2.ListTotalsRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        self.listed.append(request)
        answer = self.list_totals(request)
        answer.plane_time.CopyFrom(timestamp(self._now()))
        return answer.SerializeToString()

    async def GetTotals(  # noqa: N802
        self, request: sync_pb2.GetTotalsRequest, **_: Any
    ) -> bytes:
        await asyncio.sleep(0)
        self.single.extend(request.counters)
        answer = self.get_totals(request)
        answer.plane_time.CopyFrom(timestamp(self._now()))
        return answer.SerializeToString()

    def WatchSnapshots(self, request: sync_pb2.WatchSnapshotsRequest) -> _Stream:  # noqa: N802
        self.resumed.append(request.resume_revision)
        return _Stream(self.pages)


def granted(request: sync_pb2.LeaseRequest) -> sync_pb2.LeaseResult:
    """All that is wanted of a limit of 100, for as long as the counter's window lasts."""
    return sync_pb2.LeaseResult(
        number=request.number,
        status=sync_pb2.LEASE_STATUS_GRANTED,
        granted=max(request.held, request.used + request.want),
        valid_until_us=request.counter.counter.window_end_us,
        exact=True,
        amount=100,
    )


class _Stream:
    """Tells pages, and then nothing more."""

    def __init__(self, pages: Sequence[sync_pb2.WatchSnapshotsResponse]) -> None:
        self._pages = pages

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for page in self._pages:
            await asyncio.sleep(0)
            yield page.SerializeToString()
        await asyncio.Event().wait()

    def cancel(self) -> None:
        """The watch is given up."""
