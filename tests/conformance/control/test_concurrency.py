"""Transactions of several threads at once: each as if it were alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from itertools import pairwise

import pytest
from msgspec.structs import replace

from sidecar.control.errors import SequenceGap
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import KnownIncarnation, LineFilter, StoredCompany
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.company.timeline import compile_snapshot
from tests.conformance.control.conftest import Planes
from tests.support.seeds import rounds, seeded
from tests.support.threads import together
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    CATALOG,
    NOW_US,
    Writer,
    company,
    key_of,
    record,
    set_up,
    used,
)

NAMES = ("acme", "globex", "hooli")
ROUNDS = rounds(25, 31, slow=300, seeds=(131, 132, 133))


@pytest.fixture(params=["memory", "one store", "two stores"])
def stores(request: pytest.FixtureRequest, planes: Planes) -> Iterator[Planes]:
    """What each of two writers works on: the same, or its own on the same database."""
    if request.param == "memory":
        memory = SqliteStore()
        yield memory, memory
        memory.close()
    else:
        yield planes if request.param == "two stores" else (planes[0], planes[0])


class GivenUp(Exception):
    """Nobody else raises that."""


def give_up(store: PlaneStore) -> None:
    """Change much in a transaction that does not come to its end."""

    def change() -> None:
        with store.write() as transaction:
            transaction.renew_epoch()
            transaction.next_revision()
            transaction.add_to_counters(ALICE, {key_of(): 1_000}, 1)
            transaction.put_incarnation(KnownIncarnation(ALICE, 1_000))
            raise GivenUp

    with pytest.raises(GivenUp):
        change()


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_no_update_of_the_same_company_is_lost(stores: Planes, count: int, seed: int) -> None:
    """Each adds 1 to what it has read, or gives up."""
    with stores[0].write() as transaction:
        transaction.put_companies([StoredCompany(company(), compile_snapshot(company(), 1), 0)])

    def add(store: PlaneStore, rng_of: str) -> int:
        rng, added = seeded(f"{seed}-{rng_of}"), 0
        for _ in range(count):
            if rng.random() < 0.3:
                give_up(store)
                continue
            with store.write() as transaction:
                stored = transaction.companies(["acme"])["acme"]
                version = transaction.next_ledger_version(0)
                again = replace(stored, changed_us=stored.changed_us + 1)
                transaction.put_companies([again])
                transaction.add_to_counters(BOB, {key_of(): 1}, version)
            added += 1
        return added

    added = sum(together(*(partial(add, store, str(at)) for at, store in enumerate(stores))))
    with stores[1].read() as reading:
        (total,) = reading.totals([key_of()], BOB)
        assert added == reading.companies(["acme"])["acme"].changed_us
    assert (added, added, added) == (total.total, total.own, total.version)


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_readers_see_all_of_a_transaction_or_nothing_and_never_go_back(
    stores: Planes, count: int, seed: int
) -> None:
    """Every transaction puts its number everywhere; what was given up is nowhere."""
    done = threading.Event()

    def put(number: int) -> None:
        with stores[0].write() as transaction:
            revision = transaction.next_revision()
            assert number == revision
            for name in NAMES:  # one by one, so that there is much in between
                stored = StoredCompany(company(name), compile_snapshot(company(name), revision))
                transaction.put_companies([stored])
            transaction.put_catalog(CATALOG, revision)
            transaction.put_incarnation(KnownIncarnation(ALICE, revision))
            transaction.add_to_counters(ALICE, {key_of(): 1}, revision)

    def write() -> list[int]:
        rng = seeded(seed)
        try:
            for number in range(2, count + 1):
                put(number)
                if rng.random() < 0.3:
                    give_up(stores[0])
        finally:
            done.set()
        return [count]

    def read() -> list[int]:
        seen, is_last = [1], False
        while not is_last:
            is_last = done.is_set()
            with stores[1].read() as transaction:
                numbers = numbers_in(transaction)
            assert 1 == len(set(numbers)), numbers
            seen.append(numbers[0])
        return seen

    put(1)
    _, *seen = together(write, read, read)
    for numbers in seen:
        assert count == numbers[-1]
        assert all(before <= after for before, after in pairwise(numbers))


def numbers_in(transaction: ReadTransaction) -> list[int]:
    numbers = [transaction.state().revision]
    numbers += [snapshot.version for snapshot in transaction.snapshots(NAMES).values()]
    numbers += [change.revision for change in transaction.company_changes(0, "", 10, INT64_MAX)[0]]
    (total,) = transaction.totals([key_of()], ALICE)
    incarnation = transaction.incarnation(ALICE)
    assert incarnation is not None
    numbers += [total.total, total.version, incarnation.watermark]
    return [*numbers, transaction.catalog_version()]


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_a_key_that_comes_from_many_sidecars_at_once_counts_once(
    stores: Planes, count: int, seed: int
) -> None:
    set_up(stores[0], "acme")

    def push(store: PlaneStore, incarnation: str) -> None:
        keys = [f"key {at}" for at in range(count)]
        rng = seeded(f"{seed}-{incarnation}")
        rng.shuffle(keys)
        writer = Writer(incarnation)
        writer.write(*(record(3, key=key) for key in keys))
        at = 1
        while at <= count:
            last = min(count, at + rng.randrange(5))
            assert last == writer.push(store, at, last).watermark
            at = last + 1

    pushes = [(stores[0], ALICE), (stores[1], BOB), (stores[1], CAROL)]
    together(*(partial(push, *arguments) for arguments in pushes))
    with stores[0].read() as transaction:
        lines = transaction.lines(LineFilter("acme"), None, 10 * count)
        (state,) = transaction.counters([key_of()])
    assert 3 * count == used(stores[1])
    assert (3 * count, 2 * count) == (len(lines), sum(bool(line.duplicate_of) for line in lines))
    assert sum(state.parts.values()) == state.total


@pytest.mark.parametrize(("count", "seed"), ROUNDS)
def test_runs_of_one_sidecar_that_come_twice_at_once_are_taken_once(
    stores: Planes, count: int, seed: int
) -> None:
    """As when a push is offered again while the plane is still at it."""
    set_up(stores[0], "acme")
    writer = Writer(ALICE)
    writer.write(*(record(1 + at % 3) for at in range(count)))

    def push(store: PlaneStore, name: str) -> int:
        rng, at, added = seeded(f"{seed}-{name}"), 1, 0
        while at <= count:
            last = min(count, at + rng.randrange(4))
            try:
                pushed = writer.push(store, at, last)
            except SequenceGap as gap:
                at = gap.expected_sequence
                continue
            added += pushed.added
            at = last + 1 if rng.random() < 0.7 else max(1, at - 2)
        return added

    added = sum(together(partial(push, stores[0], "one"), partial(push, stores[1], "other")))
    with stores[0].read() as transaction:
        known = transaction.incarnation(ALICE)
        lines = transaction.lines(LineFilter("acme"), None, 10 * count)
        chains = transaction.chains(ALICE, 1, count)
    assert known is not None
    assert (count, writer.chains[-1], False) == (known.watermark, known.head, known.fenced)
    assert list(range(1, count + 1)) == [line.sequence for line in lines]
    assert writer.chains[1:] == [chains[at] for at in range(1, count + 1)]
    assert (count, sum(1 + at % 3 for at in range(count))) == (added, used(stores[1]))


def test_changes_of_a_company_and_of_others_at_once_each_have_a_revision(
    stores: Planes,
) -> None:
    set_up(stores[0], "acme")

    def reset() -> list[int]:
        return [
            change_subscription(stores[0], "acme", ResetUsage(), NOW, NOW_US + at).revision
            for at in range(1, 16)
        ]

    def add() -> list[int]:
        return [
            apply.apply(stores[1], Desired(companies=(company(f"c{at}"),)), NOW_US).revision
            for at in range(15)
        ]

    resets, others = together(reset, add)
    assert list(range(2, 32)) == sorted(resets + others)
    assert (sorted(resets), sorted(others)) == (resets, others)
    with stores[1].read() as transaction:
        assert 31 == transaction.state().revision
        assert 16 == len(transaction.snapshots(["acme"])["acme"].phases)
        assert 16 == len(transaction.companies_after("", 100))
