"""Calls for leases that wait at the same time: what they share, and what they do not."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager
from typing import Any, Final
from uuid import UUID

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc import lease_groups
from sidecar.control.rpc.lease_answering import LeaseAnswering
from sidecar.control.rpc.lease_answers import LeaseCall
from sidecar.control.rpc.lease_groups import GROUP_MAX, PART_MAX, LeaseGroups
from sidecar.control.rpc.workers import Workers
from sidecar.control.services import leases
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed
from sidecar.domain.errors import FieldError, Unavailable
from sidecar.domain.limits.counters import CounterName
from sidecar.shared.convert.leases import name_to_message
from tests.unit.control.support import ALICE, LIFETIME, NOW_US, per_user, set_up

SIDECARS: Final = tuple(str(UUID(int=1_000 + at)) for at in range(20))


class Disk:
    """A plane's database and its witness, and what was written to them, in its order."""

    def __init__(self, store: PlaneStore) -> None:
        self.written: list[str] = []
        self.witness = Witness(self.written)
        self.free = threading.Event()
        self.free.set()
        self.waits = threading.Event()
        self._store = store

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        self.waits.set()
        self.free.wait()
        with self._store.write() as transaction:
            yield transaction
        self.written.append("database")

    @contextmanager
    def read(self) -> Iterator[ReadTransaction]:
        with self._store.read() as transaction:
            yield transaction

    def close(self) -> None:
        self._store.close()

    def lost(self) -> str:
        return self._store.lost()


class Witness(MemoryWitness):
    """A witness that tells when it writes, or that it cannot."""

    def __init__(self, written: list[str]) -> None:
        super().__init__()
        self.written = written
        self.fails = False

    def note(self, seen: Witnessed) -> None:
        if self.fails:
            raise Unavailable("", "the witness of leases: disk full", "STORE_UNAVAILABLE")
        super().note(seen)
        self.written.append("witness")


@pytest.fixture
def disk(store: PlaneStore) -> Disk:
    set_up(store, "acme", "globex")
    return Disk(store)


def call(
    disk: Disk, users: int = 1, who: str = ALICE, company: str = "acme", epoch: str | None = None
) -> LeaseCall:
    return LeaseCall(message(disk, users, who, company, epoch))


def message(
    disk: Disk, users: int = 1, who: str = ALICE, company: str = "acme", epoch: str | None = None
) -> sync_pb2.RequestLeasesRequest:
    """Asks for leases of so many users' counters."""
    if epoch is None:
        with disk.read() as transaction:
            epoch = transaction.state().epoch
    names = [CounterName(company, "tokens", per_user(f"{who} {user}")) for user in range(users)]
    requests = [
        sync_pb2.LeaseRequest(counter=name_to_message(name), number=at, need=1, want=1)
        for at, name in enumerate(names, 1)
    ]
    return sync_pb2.RequestLeasesRequest(incarnation=who, epoch=epoch, requests=requests)


def groups_of(disk: Disk, *calls: LeaseCall) -> LeaseGroups:
    groups = LeaseGroups(disk.witness)
    for each in calls:
        groups.add(each)
    return groups


def granted(call: LeaseCall) -> int:
    """How many of its requests a call was granted; raises what ended it."""
    results = call.response(NOW_US).results
    return sum(result.status == sync_pb2.LEASE_STATUS_GRANTED for result in results)


def test_all_that_waits_shares_a_commit_and_the_witness_is_behind_it(disk: Disk) -> None:
    calls = [call(disk, 3, who) for who in SIDECARS]
    over = groups_of(disk, *calls).answer_next(disk, NOW_US)
    assert calls == over
    assert [3] * len(calls) == [granted(each) for each in calls]
    assert ["database", "witness"] == disk.written
    seen = disk.witness.read()
    assert seen is not None
    with disk.read() as transaction:
        assert transaction.lease_revision() == seen.revision
    assert {(who, 3) for who in SIDECARS} == {
        (who, holder.number) for who, holder in seen.holders.items()
    }


def test_what_one_is_granted_in_a_group_the_others_cannot_have(disk: Disk) -> None:
    def asks(who: str, need: int) -> LeaseCall:
        asked = message(disk, who=who)
        (request,) = asked.requests
        request.counter.CopyFrom(name_to_message(CounterName("acme", "tokens", LIFETIME)))
        request.need = request.want = need
        return LeaseCall(asked)

    calls = [asks(who, 300) for who in SIDECARS]
    groups_of(disk, *calls).answer_next(disk, NOW_US)
    assert [1, 1, 1] == [granted(each) for each in calls[:3]]
    assert 0 == sum(granted(each) for each in calls[3:])


def test_a_group_is_bounded_and_who_came_later_does_not_wait_for_all_of_a_large_call(
    disk: Disk,
) -> None:
    large = [call(disk, 4 * PART_MAX, who) for who in SIDECARS[:5]]
    groups = groups_of(disk, *large)
    assert [] == groups.answer_next(disk, NOW_US)
    assert GROUP_MAX == sum(len(each.results) for each in large)
    small = call(disk, company="globex")
    groups.add(small)
    over: list[LeaseCall] = []
    rounds = 0
    while small not in over:
        over += groups.answer_next(disk, NOW_US)
        rounds += 1
    assert (2, [small]) == (rounds, over)
    while groups:
        over += groups.answer_next(disk, NOW_US)
    assert set(over) == {small, *large}
    assert [4 * PART_MAX] * 5 == [granted(each) for each in large]


def test_what_is_wrong_with_a_call_is_told_to_it_alone(disk: Disk) -> None:
    bad, behind, good = call(disk, 0), call(disk, epoch="another"), call(disk, 2)
    over = groups_of(disk, bad, behind, good).answer_next(disk, NOW_US)
    assert [bad, behind, good] == over
    assert 2 == granted(good)
    assert ["requests", "epoch"] == [field_of(bad), field_of(behind)]


def field_of(call: LeaseCall) -> str:
    with pytest.raises(FieldError) as raised:
        call.response(NOW_US)
    return raised.value.field


def test_a_call_that_breaks_its_group_breaks_itself_alone(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = leases.request_leases

    def breaking(store: Any, timelines: Any, asked: Any, now_us: int, **how: Any) -> Any:
        answered = answer(store, timelines, asked, now_us, **how)
        if any(each.incarnation == SIDECARS[1] for each in asked):
            raise RuntimeError("broken")
        return answered

    monkeypatch.setattr(lease_groups, "request_leases", breaking)
    calls = [call(disk, 1, who) for who in SIDECARS[:3]]
    assert calls == groups_of(disk, *calls).answer_next(disk, NOW_US)
    assert [1, 1] == [granted(calls[0]), granted(calls[2])]
    with pytest.raises(RuntimeError, match="broken"):
        calls[1].response(NOW_US)


def test_where_the_witness_cannot_be_written_nobody_is_answered(disk: Disk) -> None:
    calls = [call(disk, 1, who) for who in SIDECARS]
    disk.witness.fails = True
    assert calls == groups_of(disk, *calls).answer_next(disk, NOW_US)
    assert ["database"] == disk.written
    for each in calls:
        with pytest.raises(Unavailable):
            each.response(NOW_US)


def test_whom_nobody_waits_for_is_not_answered(disk: Disk) -> None:
    left, stays = call(disk, 1), call(disk, 1, SIDECARS[0])
    left.is_left = True
    assert [stays] == groups_of(disk, left, stays).answer_next(disk, NOW_US)
    assert [] == left.results


@contextmanager
def answering(disk: Disk) -> Iterator[LeaseAnswering]:
    def watching() -> Collection[str]:
        return ()

    with closing(Workers(disk)) as workers:
        try:
            yield LeaseAnswering(workers, disk.witness, lambda: NOW_US, watching)
        finally:
            disk.free.set()


async def test_what_comes_while_the_disk_is_busy_shares_the_next_commit(disk: Disk) -> None:
    with answering(disk) as them:
        disk.free.clear()
        first = asyncio.create_task(them.answered(message(disk)))
        await asyncio.to_thread(disk.waits.wait)
        others = [asyncio.create_task(them.answered(message(disk, 2, who))) for who in SIDECARS]
        await asyncio.sleep(0)
        disk.free.set()
        calls = await asyncio.gather(first, *others)
    assert [1, *[2] * len(SIDECARS)] == [granted(each) for each in calls]
    assert ["database", "witness"] * 2 == disk.written


async def test_who_leaves_while_it_waits_is_not_answered_and_others_are(disk: Disk) -> None:
    with answering(disk) as them:
        disk.free.clear()
        first = asyncio.create_task(them.answered(message(disk)))
        await asyncio.to_thread(disk.waits.wait)
        leaving, staying = [
            asyncio.create_task(them.answered(message(disk, 1, who))) for who in SIDECARS[:2]
        ]
        await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        disk.free.set()
        assert [1, 1] == [granted(each) for each in await asyncio.gather(first, staying)]
    seen = disk.witness.read()
    assert seen is not None
    assert {ALICE, SIDECARS[1]} == set(seen.holders)


async def test_too_many_calls_are_told_to_come_back(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.control.rpc.lease_answering.CALLS_MAX", 2)
    with answering(disk) as them:
        disk.free.clear()
        waiting = [
            asyncio.create_task(them.answered(message(disk, 1, who))) for who in SIDECARS[:2]
        ]
        await asyncio.sleep(0)
        with pytest.raises(FieldError) as raised:
            await them.answered(message(disk))
        assert "BUSY" == raised.value.reason
        disk.free.set()
        assert [1, 1] == [granted(each) for each in await asyncio.gather(*waiting)]


async def test_where_the_store_takes_no_more_calls_all_that_wait_are_told_so(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sidecar.control.rpc.workers.WAITING_MAX", 0)
    with answering(disk) as them:
        calls = await asyncio.gather(*(them.answered(message(disk, 1, who)) for who in SIDECARS))
        assert ["BUSY"] * len(calls) == [reason_of(each) for each in calls]
        monkeypatch.undo()
        assert 1 == granted(await them.answered(message(disk)))


def reason_of(call: LeaseCall) -> str:
    with pytest.raises(FieldError) as raised:
        call.response(NOW_US)
    return raised.value.reason
