"""Runners: where steps run, what shares a commit, and whom a failure concerns."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sidecar.domain.errors import Conflict, Exhausted
from sidecar.engine.runner import GROUP_MAX, GroupCommitRunner, InlineRunner, Runner
from sidecar.storage.kv_engine import KvFull
from sidecar.storage.memory import MemoryEngine, MemoryTransaction
from sidecar.storage.opening import open_store
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.stores import count_in


class CountingEngine(MemoryEngine):
    """Counts commits, and refuses those that would hold more records than there is room for."""

    def __init__(self) -> None:
        super().__init__()
        self.commits = 0
        self.records_max = 1_000_000
        self.threads: set[int] = set()

    def begin(self) -> MemoryTransaction:
        self.threads.add(threading.get_ident())
        return super().begin()

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        records = sum(key.startswith(b"z") for key in {**self.values, **writes})
        if records > self.records_max:
            raise KvFull("no room")
        if writes:
            self.commits += 1
        super().apply(writes)


@pytest.fixture
def engine() -> CountingEngine:
    return CountingEngine()


@pytest.fixture
def store(engine: CountingEngine) -> Store:
    store = open_store(engine, new_incarnation=lambda: "life-1")
    engine.commits = 0
    engine.threads.clear()
    return store


@pytest.fixture(params=["inline", "group"])
async def runner(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Runner]:
    runner: Runner = InlineRunner(store) if request.param == "inline" else GroupCommitRunner(store)
    yield runner
    await runner.close()


@pytest.fixture
async def group(store: Store) -> AsyncIterator[GroupCommitRunner]:
    runner = GroupCommitRunner(store)
    yield runner
    await runner.close()


def counting(store: Store) -> Callable[[], bytes]:
    return lambda: store.transact(lambda transaction: count_in(transaction, 1))


def conflicting(store: Store) -> Callable[[], None]:
    def work(_: Transaction) -> None:
        raise Conflict("key", "no")

    return lambda: store.transact(work)


async def test_a_step_gives_back_its_result(runner: Runner) -> None:
    assert 42 == await runner.run(lambda: 42)
    assert 43 == await runner.run_alone(lambda: 43)


@pytest.mark.parametrize("error", [Conflict("key", "no"), ValueError("no")])
async def test_an_error_reaches_its_caller_and_nobody_else(
    runner: Runner, store: Store, error: Exception
) -> None:
    def fail() -> None:
        raise error

    calls: list[Any] = [
        runner.run(counting(store)),
        runner.run(fail),
        runner.run_alone(fail),
        runner.run(counting(store)),
    ]
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    assert [False, True, True, False] == [outcome is error for outcome in outcomes]
    assert 2 == store.head.sequence


async def test_steps_run_in_the_order_in_which_they_came(runner: Runner) -> None:
    seen: list[int] = []
    calls = [
        (runner.run_alone if n % 7 == 3 else runner.run)(lambda n=n: seen.append(n))  # type: ignore[misc]
        for n in range(50)
    ]
    await asyncio.gather(*calls)
    assert list(range(50)) == seen


async def test_a_step_that_was_given_up_is_done_all_the_same(
    group: GroupCommitRunner, store: Store
) -> None:
    given_up = asyncio.create_task(group.run(counting(store)))
    await asyncio.sleep(0)
    given_up.cancel()
    await group.run(counting(store))
    assert 2 == store.head.sequence


def hold(group: GroupCommitRunner) -> tuple[asyncio.Future[Any], threading.Event]:
    """Keep the writer thread busy until the event is set, so that steps gather behind it."""
    go = threading.Event()
    return asyncio.ensure_future(group.run_alone(lambda: go.wait(HANG_SECONDS_MAX))), go


async def in_line(calls: list[Any]) -> list[asyncio.Future[Any]]:
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_what_gathers_shares_one_commit(
    group: GroupCommitRunner, store: Store, engine: CountingEngine
) -> None:
    held, go = hold(group)
    tasks = await in_line([group.run(counting(store)) for _ in range(64)])
    go.set()
    await asyncio.gather(held, *tasks)
    assert (64, 1) == (store.head.sequence, engine.commits)
    assert 1 == len(engine.threads)
    assert threading.get_ident() not in engine.threads


async def test_a_group_is_bounded(
    group: GroupCommitRunner, store: Store, engine: CountingEngine
) -> None:
    held, go = hold(group)
    tasks = await in_line([group.run(counting(store)) for _ in range(GROUP_MAX + 1)])
    go.set()
    await asyncio.gather(held, *tasks)
    assert (GROUP_MAX + 1, 2) == (store.head.sequence, engine.commits)


async def test_maintenance_commits_by_itself(
    group: GroupCommitRunner, store: Store, engine: CountingEngine
) -> None:
    held, go = hold(group)
    calls: list[Any] = [group.run(counting(store)) for _ in range(3)]
    calls.insert(2, group.run_alone(counting(store)))
    tasks = await in_line(calls)
    go.set()
    await asyncio.gather(held, *tasks)
    assert (4, 3) == (store.head.sequence, engine.commits)


async def test_a_refusal_does_not_fail_its_group(
    group: GroupCommitRunner, store: Store, engine: CountingEngine
) -> None:
    held, go = hold(group)
    steps = [counting(store), conflicting(store), counting(store)]
    tasks = await in_line([group.run(step) for step in steps])
    go.set()
    outcomes = await asyncio.gather(held, *tasks, return_exceptions=True)
    assert isinstance(outcomes[2], Conflict)
    assert (2, 1) == (store.head.sequence, engine.commits)


async def test_where_a_group_does_not_fit_each_step_is_tried_alone(
    group: GroupCommitRunner, store: Store, engine: CountingEngine
) -> None:
    engine.records_max = 3
    held, go = hold(group)
    tasks = await in_line([group.run(counting(store)) for _ in range(5)])
    go.set()
    outcomes = await asyncio.gather(held, *tasks, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes[1:]]
    assert [bytes] * 3 + [Exhausted] * 2 == kinds
    assert 3 == store.head.sequence == sum(key.startswith(b"z") for key in engine.values)


async def test_closing_finishes_what_was_begun(store: Store) -> None:
    group = GroupCommitRunner(store)
    held, go = hold(group)
    tasks = await in_line([group.run(counting(store)) for _ in range(10)])
    closing = asyncio.ensure_future(group.close())
    await asyncio.sleep(0)
    go.set()
    await asyncio.gather(held, *tasks, closing)
    assert 10 == store.head.sequence
