"""Watches over real gRPC: changes arrive, resume where they stopped, and end cleanly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc
import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import sync, watch_hub
from sidecar.control.services import apply
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterState
from tests.support.bounds import HANG_SECONDS_MAX
from tests.unit.control.plane import Calls, running
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, Writer, company, key_of, record

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


def test_totals_for_which_there_is_no_room_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch_hub, "TOTALS_MAX", 2)
    watcher = watch_hub.Subscriber(BOB, watch_hub.Interest(everything=True))
    states = [_state(at, version=1) for at in range(3)]
    assert 1 == watcher.offer(states)
    assert 0 == watcher.offer([_state(0, version=2)])
    assert [2, 1] == [total.version for total in watcher.take_totals(10)]
    assert [] == watcher.take_totals(10)


def _state(at: int, version: int) -> CounterState:
    return CounterState(key_of(name=f"c{at}"), 5, version, {})
