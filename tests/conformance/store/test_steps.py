"""Steps on the store are atomic, alone and in a group."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sidecar.domain.errors import Conflict, FieldError, Unavailable
from sidecar.storage.transaction import Transaction
from tests.support.stores import Disk, OpenedStore, chain_of, count_in, keep_answer


@pytest.fixture
def opened(disk: Disk) -> Iterator[OpenedStore]:
    """Not strict: what becomes of a step that raises after it wrote is what is looked at here."""
    opened = OpenedStore(disk, strict=False)
    yield opened
    opened.close()


def test_a_step_gives_back_what_its_work_does(opened: OpenedStore) -> None:
    assert 42 == opened.store.transact(lambda _: 42)


@pytest.mark.parametrize("error", [ValueError("no"), Conflict("key", "no"), KeyboardInterrupt()])
def test_a_step_that_raises_has_no_effect(opened: OpenedStore, error: BaseException) -> None:
    opened.count(5)
    before = opened.store.head

    def work(transaction: Transaction) -> None:
        count_in(transaction, 7)
        keep_answer(transaction)
        raise error

    with pytest.raises(type(error)):
        opened.store.transact(work)
    assert 5 == opened.used()
    assert before == opened.store.head
    assert opened.store.transact(lambda transaction: transaction.answer(b"name")) is None
    assert [("life-1", 1, 5)] == opened.waiting()


def test_the_step_after_a_failed_one_takes_its_sequence(opened: OpenedStore) -> None:
    def work(transaction: Transaction) -> None:
        count_in(transaction, 7)
        raise ValueError("no")

    first = opened.count(1)
    with pytest.raises(ValueError, match="no"):
        opened.store.transact(work)
    second = opened.count(2)
    assert [("life-1", 1, 1), ("life-1", 2, 2)] == opened.waiting()
    assert chain_of(first, second) == opened.store.head.chain


def test_a_group_commits_its_steps_as_one(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(1, 2, 3)
    assert 6 == opened.used()
    opened.reopen()
    assert [1, 2, 3] == [quantity for _, _, quantity in opened.waiting()]


def test_steps_of_a_group_see_those_before_them(opened: OpenedStore) -> None:
    seen = []
    with opened.store.group():
        for _ in range(3):
            opened.count(10)
            seen.append(opened.used())
    assert [10, 20, 30] == seen


def test_a_group_that_raises_has_no_effect(opened: OpenedStore) -> None:
    opened.count(5)
    before = opened.store.head
    with pytest.raises(ValueError, match="no"), opened.store.group():
        _count_and_fail(opened)
    assert (5, before) == (opened.used(), opened.store.head)
    assert [("life-1", 1, 5)] == opened.waiting()


def test_a_step_that_is_refused_does_not_touch_its_group(opened: OpenedStore) -> None:
    def refused(transaction: Transaction) -> None:
        transaction.counter(b"c")
        raise Conflict("idempotency_key", "was used before")

    with opened.store.group():
        opened.count(1)
        with pytest.raises(FieldError):
            opened.store.transact(refused)
        opened.count(2)
    assert 3 == opened.used()


def test_a_step_that_raises_in_a_group_leaves_the_head_as_it_was(opened: OpenedStore) -> None:
    opened.count(1)
    opened.store.begin_group()
    before = opened.store.head
    with pytest.raises(Conflict):
        opened.store.transact(_count_and_refuse)
    assert before == opened.store.head
    opened.store.abort_group()


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_group_with_a_step_that_broke_cannot_be_committed(
    opened: OpenedStore, error: BaseException
) -> None:
    def broken(_: Transaction) -> None:
        raise error

    first = opened.count(1)
    opened.store.begin_group()
    opened.count(2)
    with pytest.raises(type(error)):
        opened.store.transact(broken)
    with pytest.raises(Unavailable, match="half-way"):
        opened.store.commit_group()
    assert (1, chain_of(first)) == (opened.used(), opened.store.head.chain)


def test_a_group_with_a_step_that_wrote_and_was_refused_cannot_be_committed(
    opened: OpenedStore,
) -> None:
    opened.store.begin_group()
    opened.count(2)
    with pytest.raises(Conflict):
        opened.store.transact(_count_and_refuse)
    with pytest.raises(Unavailable, match="half-way"):
        opened.store.commit_group()
    assert (0, 0) == (opened.used(), opened.store.head.sequence)


@pytest.mark.parametrize("refuse", ["wrote", "broke"])
def test_a_step_within_a_step_that_left_a_part_undoes_all(opened: OpenedStore, refuse: str) -> None:
    """As of a batch, whose checks have an outcome each."""

    def batch(transaction: Transaction) -> None:
        count_in(transaction, 1)
        with pytest.raises(Conflict if refuse == "wrote" else ValueError):
            opened.store.transact(_count_and_refuse if refuse == "wrote" else _break)
        count_in(transaction, 2)

    with pytest.raises(Unavailable, match="half-way"):
        opened.store.transact(batch)
    assert (0, 0) == (opened.used(), opened.store.head.sequence)
    opened.count(4)
    assert [("life-1", 1, 4)] == opened.waiting()


def test_after_an_aborted_group_the_next_steps_take_its_sequences(opened: OpenedStore) -> None:
    first = opened.count(1)
    opened.store.begin_group()
    opened.count_each(2, 4)
    opened.store.abort_group()
    second = opened.count(8)
    assert [("life-1", 1, 1), ("life-1", 2, 8)] == opened.waiting()
    assert chain_of(first, second) == opened.store.head.chain


def test_a_group_within_a_step_is_a_mistake(opened: OpenedStore) -> None:
    with opened.store.group(), pytest.raises(AssertionError, match="under way"):
        opened.store.begin_group()


def test_what_was_committed_is_there_after_closing(disk: Disk) -> None:
    opened = OpenedStore(disk)
    records = opened.count_each(1, 2)
    kept = opened.store.transact(keep_answer)
    opened.reopen()
    assert 3 == opened.used()
    assert kept == opened.store.transact(lambda transaction: transaction.answer(b"name"))
    assert chain_of(*records) == opened.store.head.chain
    assert "life-1" == opened.store.incarnation.id
    records += opened.count_each(3)
    assert chain_of(*records) == opened.store.head.chain
    opened.close()


def test_record_ids_name_incarnation_and_sequence(opened: OpenedStore) -> None:
    def work(transaction: Transaction) -> tuple[str, str]:
        before = transaction.next_record_id()
        count_in(transaction, 1)
        return before, transaction.next_record_id()

    assert ("life-1-1", "life-1-2") == opened.store.transact(work)


def _count_and_refuse(transaction: Transaction) -> None:
    count_in(transaction, 7)
    raise Conflict("idempotency_key", "was used before")


def _break(_: Transaction) -> None:
    raise ValueError("no")


def _count_and_fail(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    raise ValueError("no")
