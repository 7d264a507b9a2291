"""Counters with a lease: their bytes, which never change, and counting by them."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.leases.model import Lease
from sidecar.storage import codec, counting
from sidecar.storage.codec import StoredCounter
from sidecar.storage.key_check import keyed
from tests.unit.storage.test_codec import (
    BY_USER,
    BY_USER_HEX,
    CARRYING,
    CARRYING_CORRECTED,
    CARRYING_CORRECTED_HEX,
    CARRYING_HEX,
    CORRECTED,
    CORRECTED_HEX,
    COUNTER,
    COUNTER_HEX,
    PACKS,
    PACKS_HEX,
)

VALID_UNTIL_US: Final = 1_775_001_600_000_000
LEASE: Final = Lease(400, 350, VALID_UNTIL_US, 1_000)
LEASE_HEX: Final = (
    "9001000000000000"  # granted
    "5e01000000000000"  # refill at
    "0000d8c35a4e0600"  # valid until
    "e803000000000000"  # amount
)
_COUNTER_BYTES: Final = 37
LEASED: Final = codec.encode_counter(replace(BY_USER, lease=LEASE), 1)
_BEFORE_US: Final = VALID_UNTIL_US - 1


@pytest.mark.parametrize(
    ("counter", "without", "version"),
    [
        (COUNTER, COUNTER_HEX, "11"),
        (BY_USER, BY_USER_HEX, "11"),
        (CARRYING, CARRYING_HEX, "12"),
        (CORRECTED, CORRECTED_HEX, "13"),
        (CARRYING_CORRECTED, CARRYING_CORRECTED_HEX, "14"),
        (PACKS, PACKS_HEX, "15"),
    ],
)
def test_a_counter_with_a_lease_is_written_and_read_like_this(
    counter: StoredCounter, without: str, version: str
) -> None:
    fixed, rest = without[2 : 2 * _COUNTER_BYTES], without[2 * _COUNTER_BYTES :]
    written = version + fixed + LEASE_HEX + rest
    leased, data = replace(counter, lease=LEASE), bytes.fromhex(written)
    assert written == codec.encode_counter(leased, 2).hex()
    assert leased == codec.decode_counter(data, 2)
    assert counter.window_end_us == codec.window_end_of(data)
    assert (counter.carried is not None) == codec.is_carrying(data)


def test_a_lease_ends_with_the_incarnation_that_held_it() -> None:
    seen = codec.decode_counter(codec.encode_counter(replace(BY_USER, lease=LEASE), 2), 3)
    assert (0, 298, None) == (seen.own, seen.others, seen.lease)


@pytest.mark.parametrize("counter", [COUNTER, BY_USER, CORRECTED])
def test_what_is_counted_past_all_leases_leaves_the_lease_as_it_is(counter: StoredCounter) -> None:
    leased = replace(counter, lease=LEASE)
    found = counting.counted_up(b"", codec.encode_counter(leased, 2), 2, 500, 0, ())
    assert found is not None
    used, data = found
    assert (leased.used, replace(leased, own=800)) == (used, codec.decode_counter(data, 2))


@pytest.mark.parametrize("counter", [COUNTER, BY_USER, CORRECTED])
@pytest.mark.parametrize(
    ("quantity", "remaining", "refill_is_due"),
    [(0, 100, False), (49, 51, False), (50, 50, True), (100, 0, True)],
)
def test_under_a_lease_it_is_counted_and_told_what_is_left(
    counter: StoredCounter, quantity: int, remaining: int, refill_is_due: bool
) -> None:
    leased = replace(counter, lease=LEASE)
    data = codec.encode_counter(leased, 2)
    found = counting.counted_up_leased(data, 2, quantity, _BEFORE_US, 1_000)
    assert found is not None
    used, counted, *left = found
    assert [remaining, refill_is_due] == left
    expected = replace(leased, own=300 + quantity)
    assert (leased.used, expected) == (used, codec.decode_counter(counted, 2))


@pytest.mark.parametrize(
    ("counter", "incarnation", "quantity", "now_us", "amount"),
    [
        pytest.param(COUNTER, 2, 101, _BEFORE_US, 1_000, id="more than is left"),
        pytest.param(COUNTER, 2, 1, VALID_UNTIL_US, 1_000, id="no longer valid"),
        pytest.param(COUNTER, 2, 1, _BEFORE_US, 999, id="a lower amount is in force"),
        pytest.param(COUNTER, 3, 1, _BEFORE_US, 1_000, id="another incarnation"),
        pytest.param(CARRYING, 2, 1, _BEFORE_US, 1_000, id="carried in"),
        pytest.param(PACKS, 2, 1, _BEFORE_US, 1_000, id="packs"),
        pytest.param(
            replace(COUNTER, others=INT64_MAX), 2, 1, _BEFORE_US, 1_000, id="it would overflow"
        ),
    ],
)
def test_what_a_lease_does_not_cover_or_takes_more_care_is_not_counted(
    counter: StoredCounter, incarnation: int, quantity: int, now_us: int, amount: int
) -> None:
    data = codec.encode_counter(replace(counter, lease=LEASE), 2)
    assert counting.counted_up_leased(data, incarnation, quantity, now_us, amount) is None


@pytest.mark.parametrize("counter", [COUNTER, BY_USER, CARRYING, PACKS, replace(COUNTER, own=0)])
def test_without_a_lease_nothing_is_counted_by_it(counter: StoredCounter) -> None:
    values = replace(counter, values=("a long name of somebody", "of a team"))
    for each in (counter, values):
        data = codec.encode_counter(each, 2)
        assert counting.counted_up_leased(data, 2, 1, _BEFORE_US, 1_000) is None
    assert counting.counted_up_leased(None, 2, 1, _BEFORE_US, 1_000) is None


@pytest.mark.parametrize("lease", [None, LEASE])
@pytest.mark.parametrize("incarnation", [2, 3])
@pytest.mark.parametrize(
    "counter",
    [
        COUNTER,
        BY_USER,
        CARRYING,
        CORRECTED,
        PACKS,
        pytest.param(replace(COUNTER, own=5, others=-9), id="less than nothing"),
        pytest.param(replace(COUNTER, own=-5), id="taken back of others'"),
        pytest.param(replace(COUNTER, own=9, others=INT64_MAX), id="past all bounds"),
    ],
)
def test_usage_is_read_alike_from_bytes_and_from_the_counter(
    counter: StoredCounter, incarnation: int, lease: Lease | None
) -> None:
    data = codec.encode_counter(replace(counter, lease=lease), 2)
    for each in (data, keyed(data, b"key")):
        assert codec.decode_counter(each, incarnation).used == counting.used_of(each)
