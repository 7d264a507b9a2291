"""Bytes that nobody encoded: each reader of the store gives a value or `StoreDamaged`, no more."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from typing import Final

import pytest

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot, Segment
from sidecar.domain.limits.rates import Bucket
from sidecar.storage import codec, counting, keys, snapshot_codec
from sidecar.storage.answer_codec import Partitions, decode_answer, encode_answer
from sidecar.storage.bucket_codec import decode_bucket, encode_bucket, over_of
from sidecar.storage.codec import Incarnation, StoredCounter, Tally
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import name_in
from sidecar.storage.lease_entry import (
    counter_key_of,
    decode_lease,
    encode_lease,
    lease_of,
    read_lease,
)
from sidecar.storage.level_items import LevelItem, read_item
from sidecar.storage.outbox_entry import chain_in, record_in, total_bytes_in
from sidecar.storage.snapshot_codec import CatalogHead
from sidecar.storage.watch_position import KeptPosition, Staged, decode_position
from sidecar.sync.records import UsageRecordReader
from tests.support.build import NOW_US, catalog, limit, metered
from tests.support.seeds import rounds, seeded
from tests.support.stores import record_of
from tests.unit.storage.test_damaged_leases import ANN
from tests.unit.storage.test_leased_counter import LEASE, LEASED

CONTENT: Final = catalog({"basic": [metered("calls", limit(each=["user"]))]})
COUNTER: Final = codec.encode_counter(StoredCounter(5, 7, 9, NOW_US, ("ann", "")), 1)
CARRYING: Final = codec.encode_counter(StoredCounter(5, 7, 9, NOW_US, (), (3, 2)), 1)
ANSWER: Final = encode_answer(bytes(16), b"answer, of life-1-7", 1, 7, len("life-1-7"))
NAMES: Final = {1: "life-1"}
BUCKET: Final = encode_bucket(Bucket(5, NOW_US), NOW_US, 1)
SHARED_BUCKET: Final = encode_bucket(Bucket(5, NOW_US, 250_000), NOW_US, 1)
COMPANY: Final = snapshot_codec.encode_snapshot(CompanySnapshot("acme", 9, (Segment(),)))
HEAD: Final = snapshot_codec.encode_catalog_head(CatalogHead(9, 2, 3))
ENTRY: Final = b"\1" + bytes(8) + bytes(32) + record_of(5)
RECORDS: Final = UsageRecordReader()

Read = Callable[[bytes], object]
ITEM = LevelItem("acme", "jobs", "job", 3, "life-1-7", 8, 9, {"user": "ann"})
READERS: Final[Mapping[str, tuple[bytes, Read]]] = {
    "counter": (COUNTER, lambda data: codec.decode_counter(data, 1)),
    "counter of known values": (COUNTER, lambda data: codec.decode_counter(data, 1, ("a", "b"))),
    "counter that carries": (CARRYING, lambda data: codec.decode_counter(data, 2)),
    "counter counted up": (COUNTER, lambda data: counting.counted_up(b"c", data, 1, 5, NOW_US, ())),
    "counter with a lease": (LEASED, lambda data: codec.decode_counter(data, 1)),
    "counter with a lease counted up": (
        LEASED,
        lambda data: counting.counted_up_leased(data, 1, 5, NOW_US, 1_000),
    ),
    "usage of a counter": (COUNTER, counting.used_of),
    "window of a counter": (COUNTER, codec.window_end_of),
    "whether a counter carries": (COUNTER, codec.is_carrying),
    "bucket": (BUCKET, lambda data: decode_bucket(data, 1)),
    "bucket of a share": (SHARED_BUCKET, lambda data: decode_bucket(data, 1)),
    "end of a bucket": (BUCKET, over_of),
    "answer": (ANSWER, lambda data: decode_answer(data, NAMES)),
    "answer of format 4": (b"\1" + bytes(24) + b"answer", lambda data: decode_answer(data, {})),
    "partitions of answers": (
        codec.encode_value(Partitions(3)),
        lambda data: codec.decode_value(data, Partitions),
    ),
    "key of an answer": (keys.answers_of(3) + bytes(16), keys.partition_of),
    "key of an id": (keys.name_key(3), keys.ordinal_of_name),
    "item of a level": (
        codec.encode_value(ITEM),
        lambda data: read_item(ITEM.key, data),
    ),
    "key of when an item is over": (keys.expiry_key(7, ITEM.key), keys.expires_us_of),
    "lease": (encode_lease(lease_of("life-1", ANN)), decode_lease),
    "lease under its key": (
        encode_lease(lease_of("life-1", ANN)),
        lambda data: read_lease(keys.lease_key(1, counter_key_of(ANN)), data),
    ),
    "key of a lease": (keys.lease_key(1, counter_key_of(ANN)), keys.ordinal_of_lease),
    "id of an incarnation": (b"life-1", name_in),
    "snapshot": (COMPANY, snapshot_codec.decode_snapshot),
    "version of a snapshot": (COMPANY, snapshot_codec.version_of),
    "tally": (codec.encode_tally(Tally(3, 70)), codec.decode_tally),
    "head of a catalog": (HEAD, snapshot_codec.decode_catalog_head),
    "part of a catalog": (
        codec.encode_value(CONTENT),
        lambda data: codec.decode_value(data, Catalog),
    ),
    "catalog": (
        codec.encode_value(CatalogSnapshot(9, CONTENT)),
        lambda data: codec.decode_value(data, CatalogSnapshot),
    ),
    "position": (
        codec.encode_value(KeptPosition("epoch", 9)),
        decode_position,
    ),
    "staged": (
        codec.encode_value(Staged(KeptPosition("epoch", 9))),
        lambda data: codec.decode_value(data, Staged),
    ),
    "contact": (codec.encode_value(NOW_US), lambda data: codec.decode_value(data, int)),
    "incarnations": (
        codec.encode_value((Incarnation(1, "life-1"),)),
        lambda data: codec.decode_value(data, tuple[Incarnation, ...]),
    ),
    "entry": (ENTRY, lambda data: (record_in(data), chain_in(data), total_bytes_in(data))),
    "summary of a record": (record_of(5), RECORDS.summary),
    "amount of a record": (record_of(5), RECORDS.amount),
    "time of a record": (record_of(5), RECORDS.accepted_us),
    "whether it is a record": (record_of(5), RECORDS.is_record),
    "key of a tally": (keys.tally_key(1, "calls"), keys.feature_of),
    "key of a snapshot": (keys.snapshot_key("acme"), keys.company_of),
    "key of an absence": (keys.absent_key("acme"), keys.company_of),
    "key of an entry": (
        keys.outbox_key(1, 2),
        lambda data: (keys.sequence_of(data), keys.ordinal_of(data)),
    ),
}


def spoiled(rng: random.Random, data: bytes) -> bytes:
    """Bytes with some bits flipped, a piece cut off or put in, or others altogether."""
    choice = rng.randrange(5)
    if choice == 0:
        return rng.randbytes(rng.randrange(80))
    if choice == 1:
        return data[: rng.randrange(len(data))]
    if choice == 2:
        return data + rng.randbytes(rng.randrange(1, 9))
    if choice == 3:
        at = rng.randrange(len(data))
        return data[:at] + bytes(rng.randrange(1, 40)) + data[at:]
    changed = bytearray(data)
    for _ in range(rng.randrange(1, 4)):
        changed[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    return bytes(changed)


@pytest.mark.parametrize(("count", "seed"), rounds(300, 91, slow=20_000, seeds=(191, 192)))
@pytest.mark.parametrize("name", READERS)
def test_spoiled_bytes_are_a_value_or_damage(name: str, count: int, seed: int) -> None:
    sound, read = READERS[name]
    read(sound)
    rng = seeded(seed)
    damages = [damage_in(read, spoiled(rng, sound)) for _ in range(count)]
    assert {True} >= {"damage in the store" in damage for damage in damages if damage}


def damage_in(read: Read, data: bytes) -> str:
    """What a reader finds wrong; empty if it gives a value."""
    try:
        read(data)
    except StoreDamaged as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", READERS)
def test_nothing_at_all_is_a_value_or_damage(name: str) -> None:
    _, read = READERS[name]
    damage_in(read, b"")


def test_a_counter_below_nothing_is_damage_but_for_one_that_says_so() -> None:
    data = codec.encode_counter(StoredCounter(-5, 0, 0, NOW_US), 1)
    assert -5 == codec.decode_counter(data, 1).own
    assert counting.counted_up(b"c", data, 1, 1, NOW_US, ()) is None
    data = bytes([data[0] & ~64]) + data[1:]
    with pytest.raises(StoreDamaged, match="below nothing"):
        codec.decode_counter(data, 1)
    assert counting.counted_up(b"c", data, 1, 1, NOW_US, ()) is None
    leased = codec.encode_counter(StoredCounter(-5, 0, 0, NOW_US, lease=LEASE), 1)
    assert counting.counted_up_leased(leased, 1, 1, NOW_US, 1_000) is None


def test_a_mistake_in_the_program_does_not_pass_for_damage() -> None:
    with pytest.raises(TypeError):
        codec.decode_tally("text")  # type: ignore[arg-type]
