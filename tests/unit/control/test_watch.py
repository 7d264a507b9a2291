"""Watches over real gRPC: changes arrive, resume where they stopped, and end cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest
from structlog.testing import capture_logs

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync, watch_hub
from sidecar.control.services import apply, totals
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterState
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.control.plane import Calls, running
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    NOW_US,
    Writer,
    company,
    key_of,
    record,
)

Step = sync_pb2.WatchSnapshotsResponse


@pytest.fixture
async def calls(store: PlaneStore, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Calls]:
    monkeypatch.setattr(watch_hub, "COALESCE_S", 0.02)
    monkeypatch.setattr(watch_hub, "POLL_S", 0.05)
    async with running(store) as calls:
        await calls.apply("a", "b", catalog=True)
        yield calls


async def _until(call: Any, wanted: Callable[[Step], bool]) -> Step:
    """The first step that is wanted; heartbeats and others are skipped."""
    async with asyncio.timeout(HANG_SECONDS_MAX):
        while True:
            step = await call.read()
            assert isinstance(step, Step)  # and not the end
            if wanted(step):
                return step


def _ids(step: Step) -> list[str]:
    return [snapshot.company for snapshot in step.companies]


async def test_a_change_arrives(calls: Calls) -> None:
    watch = calls.watch(BOB)
    start = await watch.read()
    assert (1, True, ["a", "b"], 1) == (
        start.revision,
        start.complete,
        _ids(start),
        start.catalog.version,
    )
    await calls.apply("c")
    change = await _until(watch, lambda step: bool(step.companies))
    assert (2, True, ["c"]) == (change.revision, change.complete, _ids(change))
    assert not change.HasField("catalog")
    assert start.epoch == change.epoch


async def test_a_removal_arrives(calls: Calls) -> None:
    watch = calls.watch(BOB, without_companies=True)
    start = await watch.read()
    assert [] == _ids(start)
    await calls.apply(remove=("a",))
    change = await _until(watch, lambda step: bool(step.removed_companies))
    assert (2, ["a"]) == (change.revision, list(change.removed_companies))


async def test_a_watch_resumes_after_its_revision(calls: Calls) -> None:
    await calls.apply("c")
    await calls.apply(remove=("b",))
    step = await calls.watch(BOB, resume=1).read()
    assert (3, True, ["c"], ["b"]) == (
        step.revision,
        step.complete,
        _ids(step),
        list(step.removed_companies),
    )
    current = await calls.watch(BOB, resume=3).read()
    assert (3, True, []) == (current.revision, current.complete, _ids(current))


async def test_a_revision_beyond_all_that_there_were_begins_another_epoch(calls: Calls) -> None:
    before = await calls.watch(BOB).read()
    step = await calls.watch(BOB, resume=INT64_MAX - 1).read()
    assert (1, ["a", "b"]) == (step.revision, _ids(step))
    assert before.epoch != step.epoch


async def test_a_change_by_another_process_is_noticed(calls: Calls, store: PlaneStore) -> None:
    watch = calls.watch(BOB)
    await watch.read()
    desired = apply.Desired(companies=(company("z"),))
    await asyncio.to_thread(apply.apply, store, desired, NOW_US)
    assert ["z"] == _ids(await _until(watch, lambda step: bool(step.companies)))


def _pushed(incarnation: str, quantity: int, name: str = "a") -> Writer:
    writer = Writer(incarnation)
    writer.write(record(quantity, name=name))
    return writer


async def test_totals_reach_the_other_watchers_and_not_the_pusher(calls: Calls) -> None:
    bob, alice = calls.watch(BOB), calls.watch(ALICE)
    await bob.read()
    await alice.read()
    await calls.push(_pushed(BOB, 2))
    first = await _until(alice, lambda step: bool(step.totals))
    await calls.push(_pushed(ALICE, 5))
    second = await _until(bob, lambda step: bool(step.totals))
    assert [("a", 2, 0)] == [(total.company, total.total, total.own) for total in first.totals]
    assert [("a", 7, 2)] == [(total.company, total.total, total.own) for total in second.totals]
    assert second.totals[0].version > first.totals[0].version


async def test_totals_go_to_those_who_asked_for_the_company(calls: Calls) -> None:
    watch = calls.watch(BOB, without_companies=True)
    await watch.read()
    request = sync_pb2.FetchSnapshotsRequest(incarnation=BOB, companies=["b"])
    await calls.sync.FetchSnapshots(request)
    await calls.push(_pushed(ALICE, 1, "a"))
    await calls.push(_pushed(CAROL, 1, "b"))
    step = await _until(watch, lambda step: bool(step.totals))
    assert ["b"] == [total.company for total in step.totals]


async def test_a_silent_watch_gets_heartbeats(
    calls: Calls, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sync, "HEARTBEAT_S", 0.05)
    watch = calls.watch(BOB)
    start = await watch.read()
    beat = await watch.read()
    assert (1, True, [], start.epoch) == (beat.revision, beat.complete, _ids(beat), beat.epoch)
    assert beat.plane_time.ToMicroseconds() > start.plane_time.ToMicroseconds()


async def test_a_new_epoch_ends_watches_and_is_told_to_the_next(
    calls: Calls, store: PlaneStore
) -> None:
    watch = calls.watch(BOB)
    before = await watch.read()
    with store.write() as transaction:
        transaction.renew_epoch()
    with pytest.raises(grpc.aio.AioRpcError) as ended:
        await _until(watch, lambda step: step.epoch != before.epoch)
    assert grpc.StatusCode.UNAVAILABLE == ended.value.code()
    after = await calls.watch(BOB).read()
    assert before.epoch != after.epoch


async def test_a_stop_ends_watches_cleanly(calls: Calls) -> None:
    watch = calls.watch(BOB)
    await watch.read()
    await calls.plane.stop()
    async with asyncio.timeout(HANG_SECONDS_MAX):
        while await watch.read() is not grpc.aio.EOF:
            continue
    assert grpc.StatusCode.OK == await watch.code()


async def test_a_start_from_nothing_tells_all_usage_however_many_totals_there_are(
    calls: Calls, store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(totals, "PAGE_TOTALS", 7)
    alice = Writer(ALICE)
    window = Window(0, FOREVER_US)
    users = [CounterRef("LIFETIME|user|", (f"user-{at}",), window) for at in range(50)]
    alice.write(*(record(at + 1, name="a", counters=[user]) for at, user in enumerate(users)))
    alice.push(store)
    watch = calls.watch(BOB)
    steps = [await watch.read()]
    while not steps[-1].complete:
        steps.append(await watch.read())
    assert [[]] * (len(steps) - 1) + [["a", "b"]] == [_ids(step) for step in steps]
    told = [total.total for step in steps for total in step.totals]
    assert list(range(1, 51)) == sorted(told)
    assert (0, NOW_US) == _told(steps[-1])


async def test_what_a_watch_says_to_be_told_goes_on_without_a_gap(calls: Calls) -> None:
    watch, alice = calls.watch(BOB, without_companies=True), Writer(ALICE)
    versions = []
    until = (await _until(watch, lambda step: bool(step.totals_until_version))).totals_until_version
    await calls.sync.FetchSnapshots(
        sync_pb2.FetchSnapshotsRequest(incarnation=BOB, companies=["a"])
    )
    for at in range(5):
        alice.write(record(1, name="a"))
        pushed = await calls.push(alice, at + 1)
        versions.append(pushed.totals[0].version)
        step = await _until(watch, lambda step: bool(step.totals_until_version and step.totals))
        assert step.totals_after_version <= until
        until = step.totals_until_version
        assert versions[-1] <= until


async def test_usage_that_another_process_takes_in_is_told(calls: Calls, store: PlaneStore) -> None:
    watch = calls.watch(BOB)
    await watch.read()
    await asyncio.to_thread(_pushed(ALICE, 3).push, store)
    step = await _until(watch, lambda step: bool(step.totals))
    assert [3] == [total.total for total in step.totals]


def test_totals_for_which_there_is_no_room_are_dropped_and_leave_a_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_hub, "TOTALS_MAX", 2)
    watcher = watch_hub.Subscriber(BOB, watch_hub.Interest(everything=True), 3)
    assert 1 == watcher.offer([_state(at, version=4 + at) for at in range(3)], 6)
    assert 0 == watcher.offer([_state(0, version=7)], 7)
    assert (0, 0) == watcher.take_told()  # before all is handed out, nothing is said
    assert [7, 5] == [total.version for total in watcher.take_totals(10)]
    assert [] == watcher.take_totals(10)
    assert (6, 7) == watcher.take_told()  # who knows all up to 3 sees that something is missing
    assert (7, 7) == watcher.take_told()


def test_a_total_that_is_dropped_half_way_through_its_version_is_not_said_to_be_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(watch_hub, "TOTALS_MAX", 1)
    watcher = watch_hub.Subscriber(BOB, watch_hub.Interest(everything=True), 3)
    assert 1 == watcher.offer([_state(at, version=9) for at in range(2)], 8)
    watcher.take_totals(10)
    assert (0, 0) == watcher.take_told()
    watcher.offer([], 9)
    assert (9, 9) == watcher.take_told()


def _told(step: Step) -> tuple[int, int]:
    return step.totals_after_version, step.totals_until_version


def _state(at: int, version: int) -> CounterState:
    return CounterState(key_of(name=f"c{at}"), 5, version, {})


async def test_totals_that_are_dropped_are_logged_once_and_when_it_is_over(calls: Calls) -> None:
    hub = calls.plane._hub
    with capture_logs() as logs:
        for dropped in (3, 2, 0, 0):
            hub._tell_dropped(dropped)
    assert ["control.totals_dropped", "control.totals_told"] == [line["event"] for line in logs]
