"""What is damaged of leases ends all of them: what cannot be reported is not spent either."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.leases.model import LeaseResult, LeaseStatus, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.storage import keys
from sidecar.storage.counters import Counters
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.lease_entry import counter_key_of, decode_lease, encode_lease
from sidecar.storage.leases import Leases
from sidecar.storage.outbox import Outbox
from sidecar.storage.quarantine import quarantined
from sidecar.storage.store import Store
from sidecar.storage.store_handle import StoreHandle
from sidecar.sync.records import UsageRecordReader
from tests.support.build import counter_ref, limit, total
from tests.support.stores import MONTHLY, count_in, open_now

MONTH: Final = CounterName("acme", "calls", MONTHLY)
ANN: Final = CounterName("acme", "calls", counter_ref(limit("by_user", each=["user"]), ("ann",)))
MONTH_KEY: Final = keys.lease_key(1, counter_key_of(MONTH))
JUNK: Final = b"\xff\xfejunk"


def granted(store: Store, counter: CounterName) -> int | None:
    found = store.transact(lambda transaction: transaction.counter(counter_key_of(counter)))
    return None if found is None or found.lease is None else found.lease.granted


def leased(folder: Path) -> StoreHandle:
    """A store that has counted, with leases on two counters by request 7 and 8."""
    opened = open_now(folder)
    store, leases = opened.store, Leases(opened.store)
    for _ in range(3):
        leases.request([LeaseWish(MONTH, 1, 1), LeaseWish(ANN, 1, 1)])
    for counter in (MONTH, ANN):
        (asked,) = leases.request([LeaseWish(counter, 1, 30)])
        until_us = counter.counter.window.end_us
        result = LeaseResult(asked.number, LeaseStatus.GRANTED, 30, until_us, amount=100)
        assert 1 == leases.take(store.incarnation.id, [(counter, result, 20)])
    store.transact(lambda transaction: count_in(transaction, 4))
    return opened


def damage(opened: StoreHandle, key: bytes, data: bytes) -> None:
    """Write over a record, and close the store as one whose owner has met damage."""
    opened.store.transact(lambda transaction: transaction.keyspace.put(key, data))
    opened.store.end(StoreDamaged("damage in the store: met by a call"))
    opened.close()


def reopened(folder: Path, kind: str) -> StoreHandle:
    opened = open_now(folder)
    counts = opened.store.transact(lambda transaction: quarantined(transaction.keyspace))
    assert {kind: 1} == dict(counts)
    return opened


def require_no_leases(store: Store, left: str) -> None:
    """A new life has none, sends what waits of the one before, and counts it as others'."""
    assert [left] == [known.id for known in store.incarnations[:-1]]
    assert [None, None] == [granted(store, counter) for counter in (MONTH, ANN)]
    found = store.transact(lambda transaction: transaction.counter(counter_key_of(MONTH)))
    assert found is not None
    assert (0, 4, 1) == (found.own, found.used, store.waiting_records())


def test_where_an_entry_is_damaged_no_lease_is_left_and_the_others_are_reported(
    tmp_path: Path,
) -> None:
    opened = leased(tmp_path)
    life = opened.store.incarnation.id
    damage(opened, MONTH_KEY, JUNK)
    opened = reopened(tmp_path, "lease")
    require_no_leases(opened.store, life)
    (entry,), _ = Leases(opened.store).page(b"", 10)
    assert (ANN, life, 30) == (entry.counter, entry.incarnation, entry.granted)
    (asked,) = Leases(opened.store).request([LeaseWish(MONTH, 1, 30)])
    assert (9, 0, 0) == (asked.number, asked.held, asked.used)
    opened.close()


def test_an_entry_of_another_counter_than_its_key_says_is_damaged(tmp_path: Path) -> None:
    opened = leased(tmp_path)
    key = keys.lease_key(1, counter_key_of(ANN))
    life = opened.store.incarnation.id
    anns = opened.store.transact(lambda transaction: transaction.keyspace.get(key))
    assert anns is not None
    damage(opened, MONTH_KEY, anns)
    opened = reopened(tmp_path, "lease")
    require_no_leases(opened.store, life)
    opened.close()


def test_where_the_last_number_is_damaged_a_new_life_counts_its_requests_anew(
    tmp_path: Path,
) -> None:
    opened = leased(tmp_path)
    life = opened.store.incarnation.id
    damage(opened, keys.META_LEASES, JUNK)
    opened = reopened(tmp_path, "fact of the store")
    require_no_leases(opened.store, life)
    (asked,) = Leases(opened.store).request([LeaseWish(MONTH, 1, 30)])
    assert (1, 0) == (asked.number, asked.held)
    opened.close()


def test_where_a_counter_is_damaged_what_this_store_counted_is_heard_as_others(
    tmp_path: Path,
) -> None:
    opened = leased(tmp_path)
    life = opened.store.incarnation.id
    damage(opened, counter_key_of(MONTH), JUNK)
    opened = reopened(tmp_path, "counter")
    store, outbox = opened.store, Outbox(opened.store, UsageRecordReader())
    assert [life] == [known.id for known in store.incarnations[:-1]]
    outbox.acknowledge(life, 1)
    store.transact(lambda transaction: count_in(transaction, 2))
    assert Counters(store).hear(store.incarnation.id, [total(MONTHLY, 4, 0, 1)])
    found = store.transact(lambda transaction: transaction.counter(counter_key_of(MONTH)))
    assert found is not None
    assert (2, 4, 6) == (found.own, found.others, found.used)
    opened.close()


def test_an_entry_that_cannot_be_read_is_damage_to_whoever_needs_it(tmp_path: Path) -> None:
    opened = leased(tmp_path)
    opened.store.transact(lambda transaction: transaction.keyspace.put(MONTH_KEY, JUNK))
    with pytest.raises(StoreDamaged), opened.watched():
        Leases(opened.store).request([LeaseWish(MONTH, 1, 30)])
    reopened(tmp_path, "lease").close()


def test_a_lease_is_written_and_read_like_this(tmp_path: Path) -> None:
    opened = leased(tmp_path)
    data = opened.store.transact(lambda transaction: transaction.keyspace.get(MONTH_KEY))
    life, slot = opened.store.incarnation.id, MONTHLY.slot
    opened.close()
    assert data is not None
    entry = decode_lease(data)
    window = MONTHLY.window
    written = (
        "019d"  # version, thirteen values
        f"d924{life.encode().hex()}a461636d65a563616c6c73"
        f"{0xA0 + len(slot):02x}{slot.encode().hex()}90"
        f"cf{window.start_us:016x}cf{window.end_us:016x}"
        f"07c21e1ecf{window.end_us:016x}"  # number, whether it waits, granted, most, valid until
        "00"  # where it is left
    )
    assert written == data.hex()
    assert data == encode_lease(entry)
    assert entry == decode_lease(b"\x01\x9c" + data[2:-1])  # before it was noted where it is left
    assert (MONTH, 7, 30, False) == (entry.counter, entry.number, entry.granted, entry.waits)
    assert replace(entry, waits=True) == decode_lease(encode_lease(replace(entry, waits=True)))
