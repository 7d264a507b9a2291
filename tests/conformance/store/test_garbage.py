"""Sweeping and pruning: little at a time, nothing too early, and nothing that is still needed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import pytest

from sidecar.domain.limits.rates import Bucket
from sidecar.domain.time.units import DAY_US
from sidecar.storage import keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.outbox import STEP_RECORDS
from sidecar.storage.sweep import CHAIN_KEPT_US, COUNTER_KEPT_US, Sweep
from sidecar.storage.transaction import Transaction
from tests.support.build import NOW_US, counter_ref, limit
from tests.support.seeds import rounds, seeded
from tests.support.stores import Disk, OpenedStore, counter_key_of
from tests.support.work import CountingEngine, Work

BY_USER: Final = limit("by_user", each=["user"])
OVER_US: Final = NOW_US
"""When all that these tests put is over, but for what is kept longer."""
YOUNG_US: Final = NOW_US + 500 * DAY_US

Put = Callable[[Transaction, bytes, int], None]


def _counter(*carried: int, carries: bool = False) -> Put:
    def put(transaction: Transaction, key: bytes, over_us: int) -> None:
        kept = tuple(carried) if carries else None
        transaction.put_counter(key, StoredCounter(1, 0, 0, over_us, (), kept))

    return put


def _bucket(transaction: Transaction, key: bytes, over_us: int) -> None:
    transaction.put_bucket(key, Bucket(5, over_us - 5), over_us)


def key_of(number: int) -> bytes:
    return counter_key_of(counter_ref(BY_USER, (f"user {number}",)))


KINDS: Final[dict[str, tuple[Put, bytes, int]]] = {
    "bucket": (_bucket, keys.bucket_base("acme", "calls", "slot"), 0),
    "counter": (_counter(), key_of(1), COUNTER_KEPT_US + 1),
    "counter that carries": (_counter(3, carries=True), key_of(1), CHAIN_KEPT_US + 1),
    "counter that carries nothing": (_counter(carries=True), key_of(1), CHAIN_KEPT_US + 1),
}
"""How to put each, where, and how long after it is over it may go."""


def put(opened: OpenedStore, key: bytes, kind: Put, over_us: int = OVER_US) -> None:
    opened.store.transact(lambda transaction: kind(transaction, key, over_us))


def swept(opened: OpenedStore, now_us: int, most: int = 1_000) -> list[int]:
    """A whole round: how many each step forgot."""
    sweep, forgotten = Sweep(opened.store), []
    for _ in range(1_000):
        some, complete = sweep.step(now_us, most)
        forgotten.append(some)
        if complete:
            return forgotten
    raise AssertionError("never done")


@pytest.mark.parametrize(("late_us", "expected"), [(-1, [0]), (0, [1]), (1, [1])])
@pytest.mark.parametrize("name", KINDS)
def test_each_kind_goes_at_its_instant_and_not_a_microsecond_before(
    opened: OpenedStore, name: str, late_us: int, expected: list[int]
) -> None:
    kind, key, kept_us = KINDS[name]
    put(opened, key, kind)
    assert expected == swept(opened, OVER_US + kept_us + late_us)
    assert (expected == [0]) == (key in dict(opened.pairs()))


@pytest.mark.parametrize("most", [1, 2, 3, 5, 6, 7, 100])
def test_what_a_round_forgets_does_not_depend_on_the_size_of_its_steps(
    opened: OpenedStore, most: int
) -> None:
    """A row that carries, one that does not, buckets, and tallies of all lives."""
    fill(opened)
    total = looked_at(opened)
    forgotten = swept(opened, OVER_US + COUNTER_KEPT_US + 1, most)
    assert (total + most - 1) // most == len(forgotten)
    assert max(forgotten) <= most
    assert sum(forgotten) == total - looked_at(opened)
    assert kept_after_a_round() == [key for key, _ in opened.pairs()]
    before = opened.pairs()
    assert {0} == set(swept(opened, OVER_US + COUNTER_KEPT_US + 1, most))
    assert before == opened.pairs()


def looked_at(opened: OpenedStore) -> int:
    """How many keys a round looks at."""
    tallies = opened.pairs(keys.META_TALLY, keys.after(keys.META_TALLY))
    return len(opened.pairs(keys.COUNTERS, keys.ANSWERS)) + len(tallies)


def base_of(feature: str) -> bytes:
    return keys.counter_base("acme", feature, "slot", ())


def fill(opened: OpenedStore) -> None:
    opened.count(1)
    opened.outbox.acknowledge("life-1", 1)
    opened.count(2)
    opened.reopen(power_lost=True)
    opened.outbox.acknowledge("life-1", 2)
    opened.count(3)
    opened.outbox.acknowledge("life-2", 1)
    for window in range(3):
        key = keys.counter_key(base_of("rolls"), window)
        put(opened, key, _counter(1, carries=True), OVER_US - 2 + window)
        key = keys.counter_key(base_of("rests"), window)
        put(opened, key, _counter(), OVER_US + window)
    for number, over_us in enumerate((OVER_US, YOUNG_US)):
        put(opened, keys.bucket_base("acme", f"f{number}", "slot"), _bucket, over_us)


def kept_after_a_round() -> list[bytes]:
    kept = [
        counter_key_of(counter_ref(limit())),
        keys.counter_key(base_of("rests"), 1),
        keys.counter_key(base_of("rests"), 2),
        keys.counter_key(base_of("rolls"), 2),
        keys.bucket_base("acme", "f1", "slot"),
        keys.META_FORMAT,
        keys.META_INCARNATIONS,
        keys.name_key(1),
        keys.name_key(2),
        keys.tally_key(2, "calls"),
    ]
    return sorted(kept)


class CountedDisk:
    """A disk whose engine is counted."""

    def __init__(self, disk: Disk) -> None:
        self.work = Work()
        self._disk = disk

    def engine(self) -> CountingEngine:
        return CountingEngine(self._disk.engine(), self.work)


@pytest.fixture
def counted(disk: Disk) -> Iterator[tuple[OpenedStore, Work]]:
    counted = CountedDisk(disk)
    opened = OpenedStore(counted)
    yield opened, counted.work
    opened.close()


@pytest.mark.parametrize("stored", [200, 1_000])
@pytest.mark.parametrize("most", [1, 50])
async def test_a_step_of_the_sweep_looks_at_no_more_than_it_may_however_much_is_stored(
    counted: tuple[OpenedStore, Work], stored: int, most: int
) -> None:
    opened, work = counted
    with opened.store.group():
        for number in range(stored):
            put(opened, key_of(number), _counter())
    sweep = Sweep(opened.store)
    for _ in range(3):
        async with work.measured():
            assert (most, False) == sweep.step(OVER_US + COUNTER_KEPT_US + 1, most)
        assert 2 * most + 3 >= work.total.operations


@pytest.mark.parametrize("stored", [STEP_RECORDS, 10 * STEP_RECORDS])
async def test_a_step_of_pruning_looks_at_no_more_than_it_may_however_much_waits(
    counted: tuple[OpenedStore, Work], stored: int
) -> None:
    opened, work = counted
    with opened.store.group():
        opened.count_each(*[1] * stored)
    async with work.measured():
        opened.outbox.acknowledge("life-1", stored)
    assert 2 * STEP_RECORDS + 10 >= work.total.operations
    assert stored - STEP_RECORDS == opened.store.waiting_records()


@pytest.mark.parametrize("watermark", [0, 1, 2, 3])
def test_pruning_takes_what_is_at_or_below_the_watermark_and_once(
    opened: OpenedStore, watermark: int
) -> None:
    opened.count_each(1, 2, 3)
    opened.outbox.acknowledge("life-1", watermark)
    once = opened.pairs()
    assert list(range(watermark + 1, 4)) == [quantity for _, _, quantity in opened.waiting()]
    assert not opened.outbox.acknowledge("life-1", watermark)
    assert once == opened.pairs()


@pytest.mark.parametrize(("count", "seed"), rounds(15, 81, slow=200, seeds=(181, 182)))
def test_a_round_between_the_slices_of_a_list_takes_nothing_that_is_young(
    opened: OpenedStore, count: int, seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also what was over when the round began, and is counted on before it comes there."""
    monkeypatch.setattr("sidecar.storage.counters.LOOKED_AT_ONCE", 3)
    rng, sweep = seeded(seed), Sweep(opened.store)
    ref = counter_ref(BY_USER, ("any",))
    young = {f"user {number}" for number in range(0, 30, 3)}
    now_us = OVER_US + COUNTER_KEPT_US + 1
    for _ in range(count):
        for number in range(30):
            is_young = f"user {number}" in young
            put(opened, key_of(number), _named(number), YOUNG_US if is_young else OVER_US)
        renewed = {f"user {number}" for number in rng.sample(range(30), 5)}
        for name in renewed:
            number = int(name.split()[1])
            put(opened, key_of(number), _named(number), YOUNG_US)
        slices = opened.counters.of_slot("acme", "calls", ref.slot, ref.window.start_us, 100)
        rows = None
        while rows is None:
            try:
                next(slices)
            except StopIteration as end:
                rows = end.value
            sweep.step(now_us, rng.randint(1, 7))
        found = [row.values[0] for row in rows]
        assert len(set(found)) == len(found)
        assert young | renewed <= set(found)
    swept(opened, now_us)
    names = {f"user {n}" for n in range(30) if key_of(n) in dict(opened.pairs())}
    assert young | renewed == names


def _named(number: int) -> Put:
    def put(transaction: Transaction, key: bytes, over_us: int) -> None:
        transaction.put_counter(key, StoredCounter(1, 0, 0, over_us, (f"user {number}",)))

    return put
