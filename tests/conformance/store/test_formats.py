"""Stores of earlier formats, on every engine: taken over as a whole, or left as they were."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from itertools import count

import pytest

from sidecar.storage import codec, keys, outbox_entry
from sidecar.storage.answer_codec import StoredAnswer
from sidecar.storage.codec import STORE_FORMAT, Incarnation, StoreFormatError, Tally
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.opening import open_store
from tests.conformance.store.conftest import MakeDisk
from tests.support.build import NOW_US
from tests.support.failing import FailingEngine, Fuse, fails_at
from tests.support.stores import (
    MONTHLY,
    STORE_BYTES_MAX,
    Disk,
    OpenedStore,
    chain_of,
    counter_key_of,
    record_of,
)
from tests.unit.storage import test_format_1 as format_1
from tests.unit.storage import test_format_2 as format_2

PAST = Incarnation(1, "life-1", acknowledged_sequence=2, acknowledged_chain=b"p" * 32)
PRESENT = Incarnation(2, "life-2", acknowledged_sequence=3, acknowledged_chain=b"q" * 32)
RECORDS = [record_of(quantity) for quantity in (5, 6, 7)]
ANSWER = StoredAnswer(bytes(16), b"answer")
LEFT = {"calls": Tally(3, 30), "tokens": Tally(1, 4)}

Pairs = Mapping[bytes, bytes]


def lived_in(number: int) -> Pairs:
    """What a program of a format left that had lost power once: of everything something."""
    old = format_1.old_store() if number == 1 else format_2.old_store(PRESENT)
    pairs = dict(old.memory.values)
    pairs[keys.META_INCARNATIONS] = codec.encode_value((PAST, PRESENT))
    pairs[b"mtallies/1"] = codec.encode_value({"calls": Tally(9, 9)})
    pairs[b"mtallies/2"] = codec.encode_value(LEFT)
    pairs[keys.UNPARTITIONED_ANSWERS + keys.answer_hash("acme", "key")] = (
        struct.pack("<Bq16s", 1, NOW_US + 1, ANSWER.digest) + ANSWER.answer
    )
    pairs[keys.META_CONTACT] = codec.encode_value(77)
    for ordinal, records in ((1, RECORDS[:1]), (2, RECORDS[1:])):
        incarnation = (PAST, PRESENT)[ordinal - 1]
        for at, record in enumerate(records, 1):
            chain = chain_of(*records[:at], previous=incarnation.acknowledged_chain)
            size = sum(map(len, records[:at]))
            key = keys.outbox_key(ordinal, incarnation.acknowledged_sequence + at)
            pairs[key] = outbox_entry.pack_entry(outbox_entry.ENTRY_VERSION, size, chain) + record
    counter = codec.StoredCounter(13, 4, 8, MONTHLY.window.end_us)
    pairs[counter_key_of(MONTHLY)] = codec.encode_counter(counter, 2)
    return pairs


def leave(disk: Disk, pairs: Pairs) -> None:
    engine = disk.engine()
    kv = engine.begin()
    for key, value in pairs.items():
        kv.put(key, value)
    kv.commit()
    engine.close()


def everything(engine: KvEngine) -> Pairs:
    kv = engine.begin()
    try:
        return dict(engine.scan(kv, b"\0", b"\xff", 1_000_000))
    finally:
        kv.abort()


def open_on(engine: KvEngine) -> None:
    open_store(engine, new_incarnation=lambda: "life-9", outbox_records_max=100)


@pytest.mark.parametrize("number", [1, 2])
def test_what_an_earlier_format_knew_is_there_and_goes_on(disk: Disk, number: int) -> None:
    leave(disk, lived_in(number))
    opened = OpenedStore(disk)
    for _ in range(2):  # as taken over, and as written anew
        assert (PAST, PRESENT) == opened.store.incarnations
        assert [("life-1", 3, 5), ("life-2", 4, 6), ("life-2", 5, 7)] == opened.waiting()
        assert {"calls": Tally(5, 43), "tokens": Tally(1, 4)} == opened.tallies()
        assert 17 == opened.used()
        assert ANSWER == opened.store.transact(
            lambda transaction: transaction.answer(keys.answer_hash("acme", "key"))
        )
        catalog = opened.snapshots.catalog()
        assert catalog is not None
        assert 9 == catalog.version
        opened.reopen()
    assert (3, chain_of(*RECORDS[1:], previous=b"q" * 32)) == (
        opened.store.waiting_records(),
        opened.store.head.chain,
    )
    opened.count(8)
    opened.outbox.acknowledge("life-1", 3)
    opened.outbox.acknowledge("life-2", 5)
    opened.reopen()
    assert [("life-2", 6, 8)] == opened.waiting()
    assert {"calls": Tally(6, 51), "tokens": Tally(1, 4)} == opened.tallies()
    opened.close()


@pytest.mark.parametrize("number", [1, 2])
def test_nothing_is_changed_but_what_is_kept_in_another_form(disk: Disk, number: int) -> None:
    before = lived_in(number)
    leave(disk, before)
    engine = disk.engine()
    open_on(engine)
    after = everything(engine)
    tallies = {keys.tally_key(2, name): codec.encode_tally(tally) for name, tally in LEFT.items()}
    gone = {b"mtallies/1", b"mtallies/2"}
    kept = {key: value for key, value in before.items() if key not in gone}
    new = {keys.META_FORMAT: b"%d" % STORE_FORMAT, keys.name_key(2): b"life-2"}
    assert {**kept, **tallies, **new} == after
    open_on(engine)
    assert after == everything(engine), "opened again, nothing is left to be done"
    engine.close()


@pytest.mark.parametrize("number", [1, 2])
def test_a_failure_at_any_operation_leaves_the_format_before(
    make_disk: MakeDisk, number: int
) -> None:
    disk, twin, fuse = make_disk(STORE_BYTES_MAX), make_disk(STORE_BYTES_MAX), Fuse()
    before = lived_in(number)
    for each in (disk, twin):
        leave(each, before)
    engine = FailingEngine(disk.engine(), fuse)
    for moment in count():
        if not fails_at(moment, fuse, lambda: open_on(engine)):
            break
        assert before == everything(engine), f"after a failure at moment {moment}"
    assert moment > 8
    undisturbed = twin.engine()
    open_on(undisturbed)
    assert everything(undisturbed) == everything(engine)
    undisturbed.close()
    engine.close()


@pytest.mark.parametrize("ahead", [1, 96])
def test_a_newer_format_is_refused_with_both_numbers_and_left_as_it_is(
    disk: Disk, ahead: int
) -> None:
    before = {**lived_in(2), keys.META_FORMAT: b"%d" % (STORE_FORMAT + ahead)}
    leave(disk, before)
    engine = disk.engine()
    with pytest.raises(StoreFormatError) as refused:
        open_on(engine)
    assert (
        f"the store has format {STORE_FORMAT + ahead}, written by a newer tallyd; this one reads "
        f"up to {STORE_FORMAT}: use the newer program, or another store path"
    ) == str(refused.value)
    assert before == everything(engine)
    engine.close()
