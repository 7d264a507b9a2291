"""Hearing all that others count, of a plane that the test plays: what is asked for, and when."""

from __future__ import annotations

from pathlib import Path

import grpc
import pytest
from structlog.testing import capture_logs

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterTotal
from sidecar.shared.convert.counters import total_to_message
from sidecar.storage.coverage import StoredCoverage, read_coverage, write_coverage
from sidecar.sync.machine.watch import WatchMachine
from tests.support.bounded import CONTENT, Bench, bench_of
from tests.support.build import NOW_US, counter_ref, limit, total
from tests.support.processes import until
from tests.support.stores import MONTHLY, count_in, counter_key_of, record_of

Listed = sync_pb2.ListTotalsResponse
USERS = [counter_ref(limit("each", each=["user"]), (f"user {at}",)) for at in range(7)]


def step(*totals: CounterTotal, after: int = 0, until: int = 0) -> sync_pb2.WatchSnapshotsResponse:
    return sync_pb2.WatchSnapshotsResponse(
        epoch="e",
        revision=1,
        complete=True,
        totals=map(total_to_message, totals),
        totals_after_version=after,
        totals_until_version=until,
    )


def used(bench: Bench, company: str = "acme", ref: object = MONTHLY) -> int | None:
    store = bench.container.store
    key = counter_key_of(ref, company)  # type: ignore[arg-type]
    counter = store.transact(lambda transaction: transaction.counter(key))
    return None if counter is None else counter.used


def follow_from(bench: Bench, version: int = 0) -> None:
    """Have it hold a company, and a position from which it follows on."""
    bench.apply(CONTENT, "acme")
    assert bench.container.watcher is not None
    bench.container.watcher._machine = WatchMachine("e", 1)
    bench.plane.pages = [step()]
    bench.keeper.coverage.version = version


async def is_complete(bench: Bench) -> None:
    async def complete() -> bool:
        return bench.keeper.coverage.is_complete

    await until(complete, "something is still missing")


def asked(bench: Bench) -> list[tuple[int, list[str], str]]:
    """Versions after which totals were listed, of whom, and where it went on."""
    newest = (1 << 63) - 2
    return [
        (request.after_version, list(request.companies), request.page_token)
        for request in bench.plane.listed
        if request.after_version != newest
    ]


def running(bench: Bench) -> object:
    assert bench.container.watcher is not None
    return bench.running(bench.container.watcher.run())


async def test_a_store_that_knows_of_no_version_asks_for_all_that_can_still_count(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench)

        def pages(request: sync_pb2.ListTotalsRequest) -> Listed:
            at = int(request.page_token or 0)
            told = [] if not request.companies else [total(USERS[at], at + 1, 0, 5)]
            token = str(at + 1) if told and at < 6 else ""
            return Listed(version=9, totals=map(total_to_message, told), next_page_token=token)

        bench.plane.list_totals = pages
        async with running(bench):  # type: ignore[attr-defined]
            await is_complete(bench)
        assert [(0, ["acme"], str(at or "")) for at in range(7)] == asked(bench)
        assert list(range(1, 8)) == [used(bench, ref=ref) for ref in USERS]
        kept = read_coverage(bench.container.store)
        assert (9, 9) == (kept.version, kept.since)
        assert kept.known_us is not None


async def test_a_store_that_knows_a_version_asks_for_what_changed_since(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)
        bench.plane.list_totals = lambda _: Listed(version=9)
        async with running(bench):  # type: ignore[attr-defined]
            await is_complete(bench)
        assert [(4, ["acme"], "")] == asked(bench)


async def test_a_gap_in_what_a_stream_has_told_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)
        coverage = bench.keeper.coverage
        bench.plane.list_totals = lambda _: Listed(version=21 if coverage.version >= 9 else 9)
        bench.plane.pages = [step(), *[step(after=20, until=22)] * 50]

        async def gap_is_closed() -> bool:
            return coverage.version == 22

        async with running(bench):  # type: ignore[attr-defined]
            await until(gap_is_closed, "the gap is not closed")
        assert [4, 9] == [version for version, _, _ in asked(bench)]


async def test_whatever_is_raised_is_tried_again_and_told_once(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)
        failures = iter([RuntimeError("no"), ValueError("nor this"), KeyError("neither")])

        def failing(request: sync_pb2.ListTotalsRequest) -> Listed:
            if error := next(failures, None):
                raise error
            return Listed(version=9)

        bench.plane.list_totals = failing
        with capture_logs() as logs:
            async with running(bench):  # type: ignore[attr-defined]
                await is_complete(bench)
        told = [line["event"] for line in logs if "totals" in line["event"]]
        assert ["sync.totals_not_heard", "sync.totals_heard"] == told


async def test_a_plane_that_knows_no_versions_is_asked_for_all_that_are_held(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)

        def lacking(request: sync_pb2.ListTotalsRequest) -> Listed:
            raise grpc.aio.AioRpcError(
                grpc.StatusCode.UNIMPLEMENTED, grpc.aio.Metadata(), grpc.aio.Metadata()
            )

        bench.plane.list_totals = lacking
        bench.plane.fetched.totals.append(total_to_message(total(MONTHLY, 7, 0, 5)))
        async with running(bench):  # type: ignore[attr-defined]
            await is_complete(bench)
        assert 7 == used(bench)
        assert bench.container.plane_status.known_us is not None


async def test_totals_of_companies_that_are_not_followed_are_not_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)
        bench.plane.list_totals = lambda _: Listed(version=9)
        strange = total(MONTHLY, 7, 0, 11, company="stranger")
        bench.plane.pages = [step(), step(strange, total(MONTHLY, 8, 0, 12), after=9, until=12)]

        async def heard() -> bool:
            return used(bench) == 8

        async with running(bench):  # type: ignore[attr-defined]
            await until(heard, "nothing is heard")
        assert used(bench, "stranger") is None


async def test_answers_do_not_look_healthier_than_what_is_known_of_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.apply(CONTENT, "acme")
        container = bench.container
        container.store.transact(lambda transaction: transaction.append(record_of(1)))
        assert container.pusher is not None
        async with bench.running(container.pusher.run()):
            await bench.sent()
        # The plane answers, and yet tells nothing of others.
        assert container.plane_status.heard_us is not None
        basis = container.plane_status.basis(1, NOW_US)
        assert (NOW_US // 1_000, None) == (basis.plane_age_ms, basis.uncertainty)


async def test_totals_that_cannot_be_kept_are_counted(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench, version=4)
        bad = total_to_message(total(MONTHLY, 7, 0, 11))
        bad.counter.window_start_us = -(1 << 63)
        bench.plane.list_totals = lambda request: Listed(
            version=9, totals=[bad] if request.companies else []
        )
        with capture_logs() as logs:
            async with running(bench):  # type: ignore[attr-defined]
                await is_complete(bench)
        assert 1 == bench.container.metrics.totals_left_out.value
        assert 1 == [line["event"] for line in logs].count("sync.totals_left_out")


async def test_what_a_copy_has_heard_is_asked_for_again_once_it_is_a_store_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The plane counts as the copy's own what the original has counted since."""
    async with bench_of(monkeypatch, tmp_path) as bench:
        follow_from(bench)
        container, plane = bench.container, bench.plane
        container.store.transact(lambda transaction: count_in(transaction, 4))
        copied = container.store.incarnation.id

        def list_totals(request: sync_pb2.ListTotalsRequest) -> Listed:
            own = 10 if request.incarnation == copied else 0
            told = [total(MONTHLY, 10, own, 5)] if request.companies else []
            return Listed(version=9, totals=map(total_to_message, told))

        plane.list_totals = list_totals
        async with running(bench):  # type: ignore[attr-defined]
            await is_complete(bench)
            assert 4 == used(bench)
            plane.common[copied] = 1

            async def all_is_heard() -> bool:
                return used(bench) == 10

            assert container.pusher is not None
            async with bench.running(container.pusher.run()):
                await until(all_is_heard, "the others are not heard")
                await is_complete(bench)
        assert [(0, ["acme"], ""), (0, ["acme"], "")] == asked(bench)


async def test_what_was_heard_is_not_known_after_a_loss_of_power(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The store may be of before what it has told the plane."""
    async with bench_of(monkeypatch, tmp_path) as bench:
        store = bench.container.store
        write_coverage(store, StoredCoverage(9, 9, NOW_US, store.incarnation.ordinal + 1))
        assert 0 == read_coverage(store).version
