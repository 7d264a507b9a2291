"""Stores of format 3: each segment of a company's timeline says all that holds. They are read."""

from __future__ import annotations

from typing import Final

from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.storage import codec, keys
from sidecar.storage.codec import Incarnation
from sidecar.storage.snapshots import SnapshotChanges
from tests.support.build import company
from tests.support.stores import MemoryDisk, OpenedStore
from tests.unit.storage.test_codec import ACME, COMPANY_V2_HEX

NEWER: Final = compile_snapshot(company("acme", "pro"), 10)


def old_store() -> MemoryDisk:
    """What the version before left on the disk."""
    disk = MemoryDisk()
    kv = disk.engine().begin()
    kv.put(keys.META_FORMAT, b"3")
    kv.put(keys.META_INCARNATIONS, codec.encode_value((Incarnation(1, "life-1"),)))
    kv.put(keys.snapshot_key("acme"), bytes.fromhex(COMPANY_V2_HEX))
    kv.commit()
    return disk


def test_a_company_is_read_and_replaced_by_the_next() -> None:
    disk = old_store()
    opened = OpenedStore(disk)
    assert ACME == opened.snapshots.company("acme")
    assert (60, 70) == (
        segment_at(ACME, 70).generation,
        segment_at(ACME, 70).anchored_generation,
    )
    opened.snapshots.apply(SnapshotChanges(companies=[compile_snapshot(company("acme"), 8)]))
    assert ACME == opened.snapshots.company("acme")
    opened.snapshots.apply(SnapshotChanges(companies=[NEWER]))
    opened.reopen()
    assert NEWER == opened.snapshots.company("acme")
    kv = disk.engine().begin()
    assert b"%d" % codec.STORE_FORMAT == kv.get(keys.META_FORMAT)
