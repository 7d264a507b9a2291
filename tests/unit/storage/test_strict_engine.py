"""The engine that tests rely on finds what it is there to find."""

from __future__ import annotations

import threading

import pytest

from sidecar.domain.errors import Conflict, Exhausted
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.transaction import Transaction
from tests.support.stores import MemoryDisk, OpenedStore, count_in
from tests.support.strict_engine import PromiseBroken, StrictEngine


@pytest.fixture
def opened() -> OpenedStore:
    return OpenedStore(MemoryDisk())


def count_and_raise(transaction: Transaction) -> None:
    count_in(transaction, 1)
    raise Conflict("key", "no")


def delete_and_raise(transaction: Transaction) -> None:
    transaction.keyspace.delete(b"k")
    raise ValueError


def read_and_raise(transaction: Transaction) -> None:
    transaction.counter(b"k")
    raise Conflict("key", "no")


@pytest.mark.parametrize("work", [count_and_raise, delete_and_raise])
def test_a_step_that_wrote_before_it_raised_is_found(opened: OpenedStore, work: object) -> None:
    with pytest.raises(PromiseBroken, match="wrote before it raised"):
        opened.store.transact(work)  # type: ignore[arg-type]


def test_so_it_is_in_a_group(opened: OpenedStore) -> None:
    opened.store.begin_group()
    opened.count(1)
    with pytest.raises(PromiseBroken):
        opened.store.transact(count_and_raise)
    opened.store.abort_group()


def test_so_it_is_within_a_step(opened: OpenedStore) -> None:
    def batch(transaction: Transaction) -> None:
        count_in(transaction, 1)
        opened.store.transact(count_and_raise)

    with pytest.raises(PromiseBroken):
        opened.store.transact(batch)


def test_a_step_that_only_read_may_raise(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count(1)
        with pytest.raises(Conflict):
            opened.store.transact(read_and_raise)
    assert 1 == opened.used()


def test_an_engine_that_is_full_is_no_broken_promise() -> None:
    opened = OpenedStore(MemoryDisk(2000))
    with pytest.raises(Exhausted):
        opened.count_each(*[1] * 100)


def test_a_second_transaction_is_found() -> None:
    engine = StrictEngine(MemoryEngine())
    first = engine.begin()
    for use in (engine.begin, engine.make_room, engine.close):
        with pytest.raises(PromiseBroken, match="is open"):
            use()
    first.commit()
    engine.begin().abort()
    engine.close()


def test_a_transaction_after_its_end_is_found() -> None:
    transaction = StrictEngine(MemoryEngine()).begin()
    transaction.commit()
    with pytest.raises(PromiseBroken, match="after its end"):
        transaction.get(b"k")


def test_a_transaction_on_another_thread_is_found() -> None:
    transaction = StrictEngine(MemoryEngine()).begin()
    found: list[BaseException] = []

    def use() -> None:
        try:
            transaction.get(b"k")
        except PromiseBroken as error:
            found.append(error)

    thread = threading.Thread(target=use)
    thread.start()
    thread.join()
    assert ["a transaction was used by another thread"] == [str(error) for error in found]
