"""The plane's sweep: bounded steps, what must stay stays, and readers are not disturbed."""

from __future__ import annotations

from itertools import count

import pytest

from sidecar.control.services.sweep import IDEMPOTENCY_US, STEP, sweep
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import KeyUse
from tests.conformance.control.conftest import Planes
from tests.support.tables import Rows, contents
from tests.unit.control.support import ALICE, BOB, NOW_US, Writer, record, used

DUE_US = NOW_US + IDEMPOTENCY_US
"""The last instant at which what was received at `NOW_US` has to stay."""
USE = KeyUse(ALICE, 1, b"d" * 16)


def put(store: PlaneStore, uses: int, received_us: int = NOW_US, name: str = "key") -> None:
    with store.write() as transaction:
        transaction.put_key_uses(
            {("acme", f"{name} {at:04}"): USE for at in range(uses)}, received_us
        )


def kept(store: PlaneStore) -> int:
    return len(contents(store)["first_use"]) - 1


def without_uses(rows: Rows) -> Rows:
    return {table: found for table, found in rows.items() if table != "first_use"}


@pytest.mark.parametrize(("now_us", "expected"), [(DUE_US - 1, 1), (DUE_US, 1), (DUE_US + 1, 0)])
def test_a_key_is_forgotten_when_its_time_is_over_and_not_in_its_last_microsecond(
    store: PlaneStore, now_us: int, expected: int
) -> None:
    put(store, 1)
    assert not sweep(store, now_us)
    assert expected == kept(store)


@pytest.mark.parametrize(
    ("now_us", "expected"), [(DUE_US, [5, 5]), (DUE_US + 1, [5, 10])], ids=["kept", "forgotten"]
)
def test_a_record_counts_once_for_as_long_as_its_key_is_kept(
    store: PlaneStore, now_us: int, expected: list[int]
) -> None:
    found = []
    for incarnation in (ALICE, BOB):
        writer = Writer(incarnation)
        writer.write(record(5, key="k"))
        writer.push(store)
        found.append(used(store))
        sweep(store, now_us)
    assert expected == found


@pytest.mark.parametrize(
    ("uses", "expected"),
    [
        (0, [0]),
        (1, [0]),
        (STEP - 1, [0]),
        (STEP, [0, 0]),
        (STEP + 1, [1, 0]),
        (2 * STEP, [STEP, 0, 0]),
    ],
)
def test_a_step_forgets_a_bounded_number_and_says_whether_there_may_be_more(
    store: PlaneStore, uses: int, expected: list[int]
) -> None:
    put(store, uses)
    found, more = [], True
    while more:
        more = sweep(store, DUE_US + 1)
        found.append(kept(store))
    assert expected == found


def test_the_oldest_are_forgotten_first(store: PlaneStore) -> None:
    for received_us in (2, 0, 1):
        put(store, 2, NOW_US + received_us, f"at {received_us}")
    found = []
    for limit in (1, 1, 3):
        with store.write() as transaction:
            assert limit == transaction.forget_key_uses(NOW_US + 3, limit)
        found.append(sorted(row[-1] - NOW_US for row in contents(store)["first_use"][1:]))
    assert [[0, 1, 1, 2, 2], [1, 1, 2, 2], [2]] == found


def test_a_key_that_was_used_anew_stays_for_its_whole_time(store: PlaneStore) -> None:
    put(store, 2)
    put(store, 1, NOW_US + 1)
    sweep(store, DUE_US + 1)
    assert 1 == kept(store)


def test_running_it_again_changes_nothing_and_nothing_else_is_touched(store: PlaneStore) -> None:
    writer = Writer(ALICE)
    writer.write(record(5, key="old"), record(6))
    writer.push(store)
    put(store, 3, NOW_US + 5, "young")
    before = without_uses(contents(store))
    assert not sweep(store, DUE_US + 1)
    once = contents(store)
    assert (3, before) == (kept(store), without_uses(once))
    assert not sweep(store, DUE_US + 1)
    assert once == contents(store)


@pytest.mark.parametrize("first", ["sweep", "read"])
def test_a_reader_sees_the_keys_that_were_there_when_it_began(planes: Planes, first: str) -> None:
    store, other = planes
    put(store, STEP + 2)
    keys = [("acme", f"key {at:04}") for at in range(STEP + 2)]
    if first == "sweep":
        assert sweep(other, DUE_US + 1)
    expected = 2 if first == "sweep" else STEP + 2
    with store.read() as transaction:
        found = [len(transaction.key_uses(keys))]
        for _ in range(2):
            sweep(other, DUE_US + 1)
            found.append(len(transaction.key_uses(keys)))
    assert [expected] * 3 == found
    assert 0 == kept(store)


def test_keys_that_come_in_between_steps_are_kept_and_those_left_are_forgotten(
    store: PlaneStore,
) -> None:
    put(store, 2 * STEP + 1)
    for step in count():
        more = sweep(store, DUE_US + 1)
        put(store, 1, NOW_US + 1, f"young {step}")
        if not more:
            break
    assert 3 == kept(store)
    assert 3 == step + 1
