"""The outbox: order, chain, acknowledging, tallies, bounds."""

from __future__ import annotations

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import Exhausted
from sidecar.domain.slices import whole
from sidecar.storage.bounded_scan import STEP_BYTES
from sidecar.storage.codec import Tally
from sidecar.storage.outbox import STEP_RECORDS, OutboxRun
from sidecar.storage.transaction import Transaction
from tests.conformance.store.conftest import MakeDisk
from tests.support.build import counter_ref, limit
from tests.support.stores import Disk, OpenedStore, chain_of, count_in, record_of

NO_BYTES_MAX = 1 << 30
BY_USER = limit("by_user", each=["user"])
ENTRY_BYTES = 41
"""What an entry has beside its record."""


def acknowledge(opened: OpenedStore, incarnation: str, watermark: int) -> int:
    """Acknowledge in steps; how many it took."""
    steps = 1
    while opened.outbox.acknowledge(incarnation, watermark):
        steps += 1
        assert steps <= 1000, "never done"
    return steps


def run_of(opened: OpenedStore, records_max: int = 1000, bytes_max: int = 1 << 30) -> OutboxRun:
    run = whole(opened.outbox.next_run(records_max, bytes_max))
    assert run is not None
    return run


def test_an_empty_outbox_has_nothing_to_send(opened: OpenedStore) -> None:
    assert whole(opened.outbox.next_run(10, NO_BYTES_MAX)) is None
    assert (0, 0, None) == (
        opened.store.waiting_records(),
        opened.outbox.waiting_bytes(),
        opened.outbox.oldest_accepted_us(),
    )


def test_records_are_sent_in_their_order_from_the_first_on(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2, 3)
    assert OutboxRun("life-1", 1, bytes(32), tuple(records)) == run_of(opened)


def test_a_run_is_bounded_in_records(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2, 3)
    assert tuple(records[:2]) == run_of(opened, records_max=2).records


@pytest.mark.parametrize(("bytes_of", "expected"), [(2.5, 2), (2, 2), (1.5, 1), (0.1, 1)])
def test_a_run_is_bounded_in_bytes_but_has_one_record(
    opened: OpenedStore, bytes_of: float, expected: int
) -> None:
    records = opened.count_each(1, 2, 3)
    bytes_max = int((ENTRY_BYTES + len(records[0])) * bytes_of)
    assert expected == len(run_of(opened, bytes_max=bytes_max).records)


def test_looking_at_a_run_takes_nothing(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    assert run_of(opened) == run_of(opened)
    assert 2 == opened.store.waiting_records()


def test_after_an_acknowledgement_the_rest_is_next(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2, 3)
    acknowledge(opened, "life-1", 2)
    assert OutboxRun("life-1", 3, chain_of(*records[:2]), (records[2],)) == run_of(opened)
    assert (1, len(records[2])) == (opened.store.waiting_records(), opened.outbox.waiting_bytes())


def test_acknowledging_everything_leaves_sequence_and_chain(opened: OpenedStore) -> None:
    records = opened.count_each(1, 2)
    acknowledge(opened, "life-1", 2)
    assert whole(opened.outbox.next_run(10, NO_BYTES_MAX)) is None
    opened.reopen()
    assert (2, chain_of(*records)) == (opened.store.head.sequence, opened.store.head.chain)
    last = opened.count(3)
    assert OutboxRun("life-1", 3, chain_of(*records), (last,)) == run_of(opened)


@pytest.mark.parametrize(
    ("incarnation", "watermark"),
    [
        pytest.param("life-1", 0, id="nothing"),
        pytest.param("life-1", 1, id="once more"),
        pytest.param("other", 3, id="another's"),
    ],
)
def test_an_acknowledgement_that_says_nothing_new_is_without_effect(
    opened: OpenedStore, incarnation: str, watermark: int
) -> None:
    opened.count_each(1, 2, 3)
    acknowledge(opened, "life-1", 1)
    before = opened.waiting()
    assert 1 == acknowledge(opened, incarnation, watermark)
    assert before == opened.waiting()


def test_an_acknowledgement_past_the_end_takes_what_is_there(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    acknowledge(opened, "life-1", 99)
    assert (0, 2) == (
        opened.store.waiting_records(),
        opened.store.incarnation.acknowledged_sequence,
    )


def test_acknowledging_much_comes_in_bounded_steps(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(*[1] * (2 * STEP_RECORDS + 1))
    assert opened.outbox.acknowledge("life-1", 2 * STEP_RECORDS + 1)
    assert STEP_RECORDS + 1 == opened.store.waiting_records()
    acknowledge(opened, "life-1", 2 * STEP_RECORDS + 1)
    assert 0 == opened.store.waiting_records()


def test_large_records_leave_in_steps_that_are_bounded_in_bytes(opened: OpenedStore) -> None:
    record = record_of(1, counter_ref(BY_USER, ("x" * (STEP_BYTES // 4),)))
    for _ in range(6):
        opened.store.transact(lambda transaction: transaction.append(record))
    assert opened.outbox.acknowledge("life-1", 6)
    assert 3 == opened.store.waiting_records()
    assert not opened.outbox.acknowledge("life-1", 6)
    assert 0 == opened.store.waiting_records()


def test_a_record_larger_than_a_step_leaves_alone(opened: OpenedStore) -> None:
    record = record_of(1, counter_ref(BY_USER, ("x" * (2 * STEP_BYTES),)))
    for _ in range(2):
        opened.store.transact(lambda transaction: transaction.append(record))
    assert opened.outbox.acknowledge("life-1", 2)
    assert 1 == opened.store.waiting_records()


def test_counters_stay_when_records_leave(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    acknowledge(opened, "life-1", 2)
    assert 3 == opened.used()


@pytest.mark.parametrize("watermark", [0, 1, 3, 4])
def test_tallies_count_what_has_left_and_what_waits(opened: OpenedStore, watermark: int) -> None:
    opened.count_each(1, 2, 3)
    opened.count(40, feature="tokens")
    acknowledge(opened, "life-1", watermark)
    opened.reopen()
    assert {"calls": Tally(3, 6), "tokens": Tally(1, 40)} == opened.tallies()


def test_tallies_and_acknowledgements_bear_any_sum(opened: OpenedStore) -> None:
    """Anyone may record 2^63-1 of an unlimited feature, and again."""
    for _ in range(4):
        opened.store.transact(
            lambda transaction: transaction.append(record_of(INT64_MAX, feature="free"))
        )
    assert {"free": Tally(4, INT64_MAX)} == opened.tallies()
    acknowledge(opened, "life-1", 4)
    assert 0 == opened.store.waiting_records()
    assert {"free": Tally(4, INT64_MAX)} == opened.tallies()


def test_the_outbox_says_when_it_is_full(disk: Disk) -> None:
    opened = OpenedStore(disk, outbox_records_max=2)
    found = []
    for _ in range(2):
        found.append(opened.store.outbox_is_full())
        opened.count(1)
    assert [False, False] == found
    assert opened.store.outbox_is_full()
    opened.count(1)
    opened.reopen()
    assert opened.store.outbox_is_full()
    acknowledge(opened, "life-1", 1)
    assert (True, 3) == (opened.store.outbox_is_full(), opened.used())
    acknowledge(opened, "life-1", 2)
    assert not opened.store.outbox_is_full()
    opened.close()


def test_what_earlier_lives_have_to_send_fills_the_outbox_too(disk: Disk) -> None:
    opened = OpenedStore(disk, outbox_records_max=2)
    opened.count_each(1, 2)
    opened.reopen(power_lost=True)
    assert opened.store.outbox_is_full()
    acknowledge(opened, "life-1", 1)
    assert not opened.store.outbox_is_full()
    opened.close()


def test_the_store_is_bounded_and_goes_on_once_there_is_room(make_disk: MakeDisk) -> None:
    opened = OpenedStore(make_disk(1 << 20))

    def work(transaction: Transaction) -> None:
        opened.store.require_room()
        count_in(transaction, 1)

    def fill() -> None:
        for _ in range(20_000):
            opened.store.transact(work)

    with pytest.raises(Exhausted) as caught:
        fill()
    assert "STORE_FULL" == caught.value.reason
    counted = opened.store.head.sequence
    assert (counted, counted) == (opened.used(), opened.store.waiting_records())
    acknowledge(opened, "life-1", counted)
    opened.store.transact(work)
    assert counted + 1 == opened.used()
    opened.close()
