"""A bit of a counter's key flips on the disk: nobody finds it by its key, and the sweep does."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.storage import codec, counting
from sidecar.storage.counters import Counters
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.key_check import KEYED, keyed, require_key
from sidecar.storage.lease_entry import counter_key_of
from sidecar.storage.outbox import Outbox
from sidecar.storage.quarantine import quarantined
from sidecar.storage.store import Store
from sidecar.storage.store_handle import StoreHandle
from sidecar.storage.sweep import Sweep
from sidecar.storage.transaction import Transaction
from sidecar.sync.records import UsageRecordReader
from tests.support.build import DAY, NOW_US, counter_ref, limit, total
from tests.support.stores import MONTHLY, count_in, open_now

BY_USER: Final = limit("by_user", window=DAY, each=["user"])
MONTH_KEY: Final = counter_key_of(CounterName("acme", "calls", MONTHLY))


def users(count: int) -> list[CounterRef]:
    return [counter_ref(BY_USER, (f"user {number}",)) for number in range(count)]


def key_of(ref: CounterRef) -> bytes:
    return counter_key_of(CounterName("acme", "calls", ref))


def own(store: Store, key: bytes) -> int | None:
    found = store.transact(lambda transaction: transaction.counter(key))
    return None if found is None else found.own


def count_on_users(transaction: Transaction, count: int) -> None:
    for ref in users(count):
        counter = codec.StoredCounter(3, 0, 0, ref.window.end_us, ref.values)
        transaction.put_counter(key_of(ref), counter)


def counted(folder: Path, count: int) -> StoreHandle:
    """A store with counters of a month and of users, on each of which it has counted."""
    opened = open_now(folder)
    opened.store.transact(lambda transaction: count_in(transaction, 4))
    opened.store.transact(lambda transaction: count_on_users(transaction, count))
    return opened


def flip(folder: Path, key: bytes, byte: int, bit: int) -> None:
    """Flip a bit of a key in the file, wherever a page has it."""
    path, at = folder / "data.mdb", 0
    data = bytearray(path.read_bytes())
    while (at := data.find(key, at)) >= 0:
        data[at + byte] ^= 1 << bit
        at += len(key)
    path.write_bytes(data)


def swept(store: Store) -> None:
    walk = Sweep(store)
    while not walk.step(NOW_US, 7)[1]:
        pass


@pytest.mark.parametrize("count", [0, 200], ids=["alone", "among_others"])
@pytest.mark.parametrize(
    ("byte", "bit"),
    [(1, 0), (4, 3), (7, 1), (12, 3), (12, 7), (-1, 0), (-3, 7), (-8, 5)],
    ids=str,
)
def test_a_counter_whose_key_is_damaged_is_noticed_and_set_aside_and_a_new_life_begins(
    tmp_path: Path, byte: int, bit: int, count: int
) -> None:
    store = tmp_path / "store"
    opened = counted(store, count)
    life = opened.store.incarnation.id
    opened.close()
    flip(store, MONTH_KEY, byte % len(MONTH_KEY), bit)
    opened = open_now(store)
    assert own(opened.store, MONTH_KEY) is None
    with pytest.raises(StoreDamaged), opened.watched():
        swept(opened.store)
    opened = open_now(store)
    counts = opened.store.transact(lambda transaction: quarantined(transaction.keyspace))
    assert {"counter": 1} == dict(counts)
    assert [life] == [known.id for known in opened.store.incarnations[:-1]]
    swept(opened.store)
    # What this store had counted on the others is known still; of this one the plane knows it.
    assert all(own(opened.store, key_of(ref)) == 0 for ref in users(count))
    Outbox(opened.store, UsageRecordReader()).acknowledge(life, 1)
    assert Counters(opened.store).hear(opened.store.incarnation.id, [total(MONTHLY, 4, 0, 1)])
    found = opened.store.transact(lambda transaction: transaction.counter(MONTH_KEY))
    assert found is not None
    assert (0, 4) == (found.own, found.used)
    opened.close()


def test_counters_of_earlier_formats_are_believed_until_they_are_written_anew() -> None:
    counter = codec.StoredCounter(3, 4, 5, NOW_US, ("ann",), (1, 2))
    before = codec.encode_counter(counter, 1)
    require_key(b"any", before)
    found = counting.counted_up(
        b"c1", codec.encode_counter(codec.StoredCounter(3, 0, 0, 9), 1), 1, 2, 9, ()
    )
    assert found is not None
    require_key(b"any", found[1])
    after = keyed(before, b"c1")
    require_key(b"c1", after)
    assert (before[0] | KEYED, counter) == (after[0], codec.decode_counter(after, 1))
    with pytest.raises(StoreDamaged):
        require_key(b"c2", after)


@pytest.mark.parametrize("values", [(), ("ann",)])
def test_a_counter_knows_its_key_from_the_first_count_on(values: tuple[str, ...]) -> None:
    data = None
    for _ in range(3):
        found = counting.counted_up(b"c1", data, 1, 5, NOW_US, values)
        assert found is not None
        data = found[1]
        require_key(b"c1", data)
        with pytest.raises(StoreDamaged):
            require_key(b"c2", data)
    assert data is not None
    assert codec.StoredCounter(15, 0, 0, NOW_US, values) == codec.decode_counter(data, 1)
    assert keyed(codec.encode_counter(codec.decode_counter(data, 1), 1), b"c1") == data
