"""Stores of format 2: tallies in one value, the catalog in one piece. Both are taken over."""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import INT64_MAX
from sidecar.storage import codec, keys, outbox_entry
from sidecar.storage.codec import Incarnation, Tally
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import catalog, catalog_snapshot, limit, metered
from tests.support.stores import MemoryDisk, OpenedStore, chain_of, record_of

CONTENT: Final = catalog({"basic": [metered("calls", limit())]})
RECORD: Final = record_of(5)
LEFT: Final = {"calls": Tally(2, 70), "free": Tally(1, INT64_MAX)}
"""What had left the outbox of the present incarnation."""


def old_store(*incarnations: Incarnation) -> MemoryDisk:
    """What the version before left on the disk; a record waits in the last incarnation."""
    disk = MemoryDisk()
    kv = disk.engine().begin()
    present = incarnations[-1]
    kv.put(keys.META_FORMAT, b"2")
    kv.put(keys.META_INCARNATIONS, codec.encode_value(incarnations))
    kv.put(b"mtallies/%d" % present.ordinal, codec.encode_value(LEFT))
    kv.put(b"mtallies/1", codec.encode_value(LEFT))
    kv.put(keys.META_CATALOG, codec.encode_value(catalog_snapshot(CONTENT, 9)))
    sequence = present.acknowledged_sequence + 1
    entry = (
        outbox_entry.pack_entry(outbox_entry.ENTRY_VERSION, len(RECORD), chain_of(RECORD)) + RECORD
    )
    kv.put(keys.outbox_key(present.ordinal, sequence), entry)
    kv.commit()
    return disk


def tally_keys(opened: OpenedStore) -> list[bytes]:
    store = opened.store
    pairs = store.transact(
        lambda transaction: store.engine.scan(transaction.keyspace, b"mtall", b"mtalm", 1_000)
    )
    return [key for key, _ in pairs]


def test_tallies_go_on() -> None:
    opened = OpenedStore(old_store(Incarnation(1, "life-1", acknowledged_sequence=3)))
    assert {"calls": Tally(3, 75), "free": Tally(1, INT64_MAX)} == opened.tallies()
    opened.outbox.acknowledge("life-1", 4)
    opened.reopen()
    assert {"calls": Tally(3, 75), "free": Tally(1, INT64_MAX)} == opened.tallies()


def test_tallies_of_incarnations_that_were_left_are_forgotten() -> None:
    opened = OpenedStore(old_store(Incarnation(2, "life-2", acknowledged_sequence=3)))
    assert {"calls": Tally(3, 75), "free": Tally(1, INT64_MAX)} == opened.tallies()
    assert [keys.tally_key(2, "calls"), keys.tally_key(2, "free")] == tally_keys(opened)


def test_after_a_loss_of_power_none_are_taken_over() -> None:
    disk = old_store(Incarnation(1, "life-1", acknowledged_sequence=3))
    opened = OpenedStore(disk)
    opened.reopen(power_lost=True)
    assert {} == opened.tallies()


def test_the_catalog_is_read_and_replaced_by_the_next() -> None:
    disk = old_store(Incarnation(1, "life-1"))
    opened = OpenedStore(disk)
    assert catalog_snapshot(CONTENT, 9) == opened.snapshots.catalog()
    opened.snapshots.apply(SnapshotChanges(catalog_snapshot(CONTENT, 8)))
    assert catalog_snapshot(CONTENT, 9) == opened.snapshots.catalog()
    newer = catalog_snapshot(catalog({"pro": [metered("calls", limit("monthly", 7))]}), 10)
    opened.snapshots.apply(SnapshotChanges(newer))
    opened.reopen()
    assert newer == opened.snapshots.catalog()
