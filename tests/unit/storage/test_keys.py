"""Keys of the store: short enough, in order, and never those of something else."""

from __future__ import annotations

import pytest

from sidecar.domain.bounds import (
    DIMENSION_KEY_BYTES_MAX,
    DIMENSION_VALUE_BYTES_MAX,
    DIMENSIONS_MAX,
    FOREVER_US,
    IDENTIFIER_BYTES_MAX,
)
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.storage import keys
from sidecar.storage.kv_engine import KEY_BYTES_MAX
from tests.support.build import MONTH, limit

LONG = "\U0001f600" * (IDENTIFIER_BYTES_MAX // 4)
NAMES = [f"{n:02}".ljust(DIMENSION_KEY_BYTES_MAX, "%") for n in range(DIMENSIONS_MAX)]
SLOT = slot_of(limit(window=MONTH, each=NAMES, match={name + "x": "%" * 256 for name in NAMES}))
VALUES = ("\u00e4" * (DIMENSION_VALUE_BYTES_MAX // 2),) * DIMENSIONS_MAX


@pytest.mark.parametrize(
    "key",
    [
        keys.counter_key(keys.counter_base(LONG, LONG, SLOT, VALUES), END_INSTANT_US),
        keys.counter_key(keys.counter_base(LONG, LONG, SLOT, VALUES), FIRST_INSTANT_US),
        keys.bucket_base(LONG, LONG, SLOT) + keys.values_hash(VALUES),
        keys.answers_of(255) + keys.answer_hash(LONG, LONG),
        keys.snapshot_key(LONG),
        keys.absent_key(LONG),
        keys.outbox_key(2**32 - 1, 2**63 - 1),
    ],
    ids=["counter", "earliest counter", "bucket", "answer", "snapshot", "absence", "outbox"],
)
def test_the_longest_keys_fit(key: bytes) -> None:
    assert len(key) <= KEY_BYTES_MAX


def test_each_kind_of_key_has_a_place_of_its_own() -> None:
    found = [
        keys.counter_key(keys.counter_base("acme", "calls", "slot", ()), 0),
        keys.bucket_base("acme", "calls", "slot"),
        keys.answers_of(1) + keys.answer_hash("acme", "key"),
        keys.META_FORMAT,
        keys.absent_key("acme"),
        keys.snapshot_key("acme"),
        keys.outbox_key(1, 1),
    ]
    kinds = [
        keys.COUNTERS,
        keys.BUCKETS,
        keys.ANSWERS,
        keys.META,
        keys.ABSENT,
        keys.SNAPSHOTS,
        keys.OUTBOX,
    ]
    assert kinds == [key[:1] for key in found] == sorted(kinds)


def test_keys_are_written_like_this() -> None:
    """They are on disk: another way would lose sight of what is there."""
    counter = keys.counter_key(
        keys.counter_base("acme", "calls", "DAY/1/CALENDAR|user|", ("ann",)), 5
    )
    assert b"cacme\0calls\0" == counter[:12]
    assert "5deac2fe00ec5b55d8963d899008cf8c05369be7b90427154000000000000005" == counter[12:].hex()
    bucket = keys.bucket_base("acme", "calls", "RATE/60000000/burst|user|")
    assert b"gacme\0calls\0" == bucket[:12]
    assert "3eade220ad59310d" == bucket[12:].hex()
    assert "cb8de8f8f562aa71c641edd160305800" == keys.answer_hash("acme", "key").hex()
    assert [b"i", b"h\1", b"h\xff", b"h\0"] == [keys.answers_of(n) for n in (0, 1, 255, 256)]
    assert "6d6e616d6500000002" == keys.name_key(2).hex()
    assert 2 == keys.ordinal_of_name(keys.name_key(2))
    assert b"sacme" == keys.snapshot_key("acme")
    assert "7a00000002000000000000012c" == keys.outbox_key(2, 300).hex()
    assert 300 == keys.sequence_of(keys.outbox_key(2, 300))


def test_the_outbox_is_in_the_order_of_incarnation_and_sequence() -> None:
    pairs = [(1, 1), (1, 2), (1, 255), (1, 256), (1, 2**40), (2, 0), (2, 1), (300, 5)]
    found = [keys.outbox_key(*pair) for pair in pairs]
    assert sorted(found) == found


@pytest.mark.parametrize(
    "start_us", [FIRST_INSTANT_US, -1, 0, 1, END_INSTANT_US - 1, FOREVER_US // 4]
)
def test_windows_of_all_times_have_keys(start_us: int) -> None:
    assert 10 == len(keys.counter_key(b"cx", start_us))


def test_windows_of_a_counter_are_in_order() -> None:
    starts = [FIRST_INSTANT_US, -5, 0, 5, 10**15, END_INSTANT_US]
    found = [keys.counter_key(b"c", start_us) for start_us in starts]
    assert sorted(found) == found


def test_the_end_of_a_prefix_is_behind_all_that_begin_with_it() -> None:
    end = keys.after(keys.SNAPSHOTS)
    assert keys.snapshot_key("\U0010ffff" * 32) < end < keys.outbox_key(0, 0)
