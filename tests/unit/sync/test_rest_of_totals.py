"""A large company on a new sidecar: what a call waits for does not grow with its users."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any, Final

import pytest
from structlog.testing import capture_logs

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.limits.counters import CounterRef, CounterTotal
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.counters import total_to_message
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from sidecar.storage.coverage import read_coverage
from tests.support.bounded import CONTENT, PER_USER, Bench, bench_of
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.build import NOW_US, catalog_snapshot, company, counter_ref, total
from tests.support.method_calls import answer_of
from tests.support.processes import until
from tests.support.stores import MONTHLY

VERSION: Final = 50
USERS: Final = 6
ALL_USED: Final = 5
"""What each of the users may use, and has."""
PATIENT_MS: Final = int(HANG_SECONDS_MAX * 1_000)


def counter_of(user: int) -> CounterRef:
    return counter_ref(PER_USER, (f"user {user}",))


class LargeCompany:
    """A company whose totals come in many pages; those behind the first come once `going_on`.

    The first has the user 0 alone; `failures`: so many pages are refused before.
    """

    def __init__(self, bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bench = bench
        self.going_on = asyncio.Event()
        self.failures = 0
        plane = bench.plane
        plane.fetched = sync_pb2.FetchSnapshotsResponse(
            catalog=catalog_snapshot_to_message(catalog_snapshot(CONTENT)),
            companies=[snapshot_to_message(compile_snapshot(company("acme"), 1))],
            totals=[total_to_message(self.total(counter_of(0)))],
            totals_page_token="1",
            totals_version=VERSION,
        )
        plane.list_totals = self._page
        plane.get_totals = self._single
        listing = type(plane).ListTotals

        async def in_time(stub: Any, request: sync_pb2.ListTotalsRequest, **settings: Any) -> bytes:
            await self.going_on.wait()
            return await listing(stub, request, **settings)

        monkeypatch.setattr(type(plane), "ListTotals", in_time)

    def total(self, counter: CounterRef) -> CounterTotal:
        used = 7 if counter == MONTHLY else ALL_USED
        return total(counter, used, 0, VERSION - 20)

    def request(self, user: int) -> pb.CheckAndIncrementRequest:
        return pb.CheckAndIncrementRequest(
            company="acme", feature="calls", quantity=1, dimensions={"user": f"user {user}"}
        )

    async def check(self, user: int) -> pb.CheckAndIncrementResponse:
        methods = self.bench.container.methods
        data = self.request(user).SerializeToString()
        answer = await answer_of(methods.check_and_increment, data)
        return pb.CheckAndIncrementResponse.FromString(answer)

    async def batch(self, *users: int) -> list[pb.CheckAndIncrementResponse]:
        methods = self.bench.container.methods
        batch = pb.BatchCheckAndIncrementRequest(checks=map(self.request, users))
        data = await answer_of(methods.batch_check_and_increment, batch.SerializeToString())
        outcomes = pb.BatchCheckAndIncrementResponse.FromString(data).outcomes
        return [outcome.response for outcome in outcomes]

    async def all_is_heard(self) -> None:
        async def heard() -> bool:
            return not self.bench.container.plane_status.part_heard

        await until(heard, "its totals are not heard")

    def asked_alone(self) -> list[tuple[str, ...]]:
        """Values of the counters that were asked for alone."""
        return sorted(tuple(address.counter.values) for address in self.bench.plane.single)

    def _page(self, request: sync_pb2.ListTotalsRequest) -> sync_pb2.ListTotalsResponse:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("no")
        at = int(request.page_token or 0)
        told = self.total(counter_of(at) if at < USERS else MONTHLY)
        token = str(at + 1) if at < USERS else ""
        return sync_pb2.ListTotalsResponse(
            version=VERSION, totals=[total_to_message(told)], next_page_token=token
        )

    def _single(self, request: sync_pb2.GetTotalsRequest) -> sync_pb2.GetTotalsResponse:
        counters = [
            CounterRef(address.counter.slot, tuple(address.counter.values), MONTHLY.window)
            if not address.counter.values
            else counter_of(int(address.counter.values[0].removeprefix("user ")))
            for address in request.counters
        ]
        told = [total_to_message(self.total(counter)) for counter in counters]
        return sync_pb2.GetTotalsResponse(version=VERSION, totals=told)


@pytest.mark.parametrize("way", ["alone", "in a batch"])
async def test_a_check_waits_for_its_own_counters_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    async with bench_of(monkeypatch, tmp_path, fetch_timeout_ms=PATIENT_MS) as bench:
        large = LargeCompany(bench, monkeypatch)
        if way == "alone":
            answer = await large.check(4)
        else:
            answer = (await large.batch(4))[0]
        limit = answer.decision.binding_limit
        assert (pb.REASON_LIMIT_EXCEEDED, ALL_USED) == (answer.decision.reason, limit.used)
        assert [(), ("user 4",)] == large.asked_alone()
        # All that it counts on is known; of the company as a whole it is not.
        assert answer.decision.basis.plane_age_ms < NOW_US // 1_000
        assert {"acme": VERSION} == bench.container.plane_status.part_heard
        # What is known once is not asked for again.
        await large.check(4)
        assert [(), ("user 4",)] == large.asked_alone()
        large.going_on.set()
        await large.all_is_heard()
        assert pb.REASON_LIMIT_EXCEEDED == (await large.check(2)).decision.reason
        assert [(), ("user 4",)] == large.asked_alone()


async def test_a_plane_that_tells_no_counter_alone_has_no_customer_refused_for_being_large(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path, fetch_timeout_ms=PATIENT_MS) as bench:
        large = LargeCompany(bench, monkeypatch)

        def lacking(request: sync_pb2.GetTotalsRequest) -> sync_pb2.GetTotalsResponse:
            return sync_pb2.GetTotalsResponse()

        bench.plane.get_totals = lacking
        bench.container.plane_status.leases = False  # it knows of no leases either
        answer = await large.check(4)
        assert answer.decision.allowed
        assert answer.decision.basis.plane_age_ms >= NOW_US // 1_000
        large.going_on.set()
        await large.all_is_heard()
        assert pb.REASON_LIMIT_EXCEEDED == (await large.check(4)).decision.reason


async def test_a_failure_on_the_way_is_told_once_and_the_rest_is_heard_all_the_same(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path, fetch_timeout_ms=PATIENT_MS) as bench:
        large = LargeCompany(bench, monkeypatch)
        large.failures = 3
        await large.check(4)
        with capture_logs() as logs:
            large.going_on.set()
            await large.all_is_heard()
        told = [line["event"] for line in logs if "rest_of_totals" in line["event"]]
        assert ["sync.rest_of_totals_not_heard", "sync.rest_of_totals_heard"] == told
        assert pb.REASON_LIMIT_EXCEEDED == (await large.check(0)).decision.reason


async def test_a_restart_on_the_way_asks_for_all(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path, fetch_timeout_ms=PATIENT_MS) as bench:
        keeper = bench.keeper
        await keeper.listed(VERSION)
        assert VERSION == read_coverage(bench.container.store).version
        large = LargeCompany(bench, monkeypatch)
        await large.check(4)
        kept = read_coverage(bench.container.store)
        assert (0, None) == (kept.version, kept.known_us)
        large.going_on.set()
        await large.all_is_heard()

        async def is_kept() -> bool:
            return read_coverage(bench.container.store).version == VERSION

        await until(is_kept, "it is not kept that all was heard")
