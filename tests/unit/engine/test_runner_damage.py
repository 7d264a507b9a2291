"""Steps that meet damage in the store: nothing is counted any more, and everyone is told why."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from sidecar.domain.errors import FieldError, Unavailable
from sidecar.engine.runner import GroupCommitRunner, InlineRunner, Runner
from sidecar.storage import codec
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvDamaged, KvFailure
from sidecar.storage.memory import MemoryEngine, MemoryTransaction
from sidecar.storage.opening import open_store
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from tests.support.stores import count_in


class BreakableEngine(MemoryEngine):
    """Says of itself that it is damaged, once it is told to."""

    broken = False

    def begin(self) -> MemoryTransaction:
        if self.broken:
            raise KvDamaged("a page that is none")
        return super().begin()

    def failure_of(self, error: Exception) -> KvFailure:
        assert isinstance(error, KvFailure)
        return error


@pytest.fixture
def engine() -> BreakableEngine:
    return BreakableEngine()


@pytest.fixture
def store(engine: BreakableEngine) -> Store:
    return open_store(engine, new_incarnation=lambda: "life-1")


@pytest.fixture(params=["inline", "group"])
async def runner(request: pytest.FixtureRequest, store: Store) -> AsyncIterator[Runner]:
    runner: Runner = InlineRunner(store) if request.param == "inline" else GroupCommitRunner(store)
    yield runner
    await runner.close()


class Call:
    """A job whose step counts, or reads what is damaged."""

    def __init__(self, step: Callable[[Transaction], object]) -> None:
        self.step = step
        self.settled = asyncio.Event()
        self.error: Exception | None = None

    def defer(self) -> None:
        """It may wait."""

    def settle(self, result: Any, error: Exception | None) -> None:
        self.error = error
        self.settled.set()


def counts(transaction: Transaction) -> object:
    return count_in(transaction, 1)


def reads_damage(_: Transaction) -> object:
    return codec.decode_tally(b"junk")


async def outcomes(runner: Runner, *steps: Callable[[Transaction], object]) -> list[Any]:
    """Reasons of the errors of calls that come together, empty where there is none."""
    calls = [Call(step) for step in steps]
    runner.begin_group()
    for call in calls:
        runner.submit(call)
    runner.end_group()
    for call in calls:
        await call.settled.wait()
    return [call.error for call in calls]


async def test_the_call_that_meets_damage_is_told_and_nothing_is_counted(
    runner: Runner, store: Store
) -> None:
    before, met, after = await outcomes(runner, counts, reads_damage, counts)
    assert isinstance(met, StoreDamaged)
    assert {"STORE_DAMAGED"} == {error.reason for error in (before, after) if error is not None}
    for error in (before, after):
        assert error is None or isinstance(error, Unavailable)
    assert isinstance(store.ended_by, StoreDamaged)
    assert store.head.sequence == [before, after].count(None)


async def test_no_step_is_taken_after_damage_was_met(runner: Runner, store: Store) -> None:
    told: list[FieldError] = []
    store.when_ended(told.append)
    await outcomes(runner, reads_damage)
    head = store.head
    for error in await outcomes(runner, counts, counts):
        assert isinstance(error, Unavailable)
        assert "STORE_DAMAGED" == error.reason
    with pytest.raises(Unavailable, match="the sidecar ends: damage in the store"):
        await runner.run(lambda: store.transact(counts))
    assert head == store.head
    assert 1 == len(told)


async def test_damage_that_is_met_outside_a_step_ends_the_store_too(
    runner: Runner, store: Store
) -> None:
    with pytest.raises(StoreDamaged):
        await runner.run_alone(lambda: codec.decode_tally(b"junk"))
    assert isinstance(store.ended_by, StoreDamaged)


async def test_damage_that_the_engine_tells_of_ends_the_store(
    runner: Runner, store: Store, engine: BreakableEngine
) -> None:
    engine.broken = True
    (error,) = await outcomes(runner, counts)
    assert isinstance(error, StoreDamaged | Unavailable)
    assert "STORE_DAMAGED" == error.reason
    assert isinstance(store.ended_by, StoreDamaged)
    assert 0 == store.head.sequence


async def test_any_other_error_ends_nothing(runner: Runner, store: Store) -> None:
    def fails(_: Transaction) -> object:
        raise ValueError("a mistake")

    (error,) = await outcomes(runner, fails)
    assert isinstance(error, ValueError)
    assert store.ended_by is None
    assert [None] == await outcomes(runner, counts)
