"""Lives of a store: a loss of power, fencing, and what becomes of records and counters."""

from __future__ import annotations

from hashlib import sha256

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.slices import whole
from sidecar.storage.codec import StoredCounter, Tally
from sidecar.storage.outbox import STEP_RECORDS, OutboxRun
from sidecar.storage.record_wire import encode_identity
from tests.support.build import counter_ref, limit, total
from tests.support.stores import MONTHLY, OpenedStore, chain_of, keep_answer, record_of

BY_USER = limit("by_user", each=["user"])


def run_of(opened: OpenedStore) -> OutboxRun | None:
    return whole(opened.outbox.next_run(1000, 1 << 30))


def incarnations(opened: OpenedStore) -> list[str]:
    return [incarnation.id for incarnation in opened.store.incarnations]


def fence(opened: OpenedStore, common_sequence: int) -> None:
    """What the sync does when the plane refuses the oldest incarnation."""
    fenced = opened.store.incarnations[0].id
    name = opened.new_incarnation()
    while opened.outbox.begin_incarnation(name, fenced, common_sequence):
        pass
    move(opened)


def move(opened: OpenedStore) -> None:
    for _ in range(1000):
        if not opened.outbox.move_fenced():
            return
    raise AssertionError("never done")


def named(record: bytes, key: str) -> bytes:
    """A record without an idempotency key, with one."""
    message = sync_pb2.UsageRecord.FromString(record)
    assert not message.idempotency_key
    return record + encode_identity(key, sha256(record).digest()[:16])


def test_a_new_store_has_one_life(opened: OpenedStore) -> None:
    assert ["life-1"] == incarnations(opened)
    opened.reopen()
    assert ["life-1"] == incarnations(opened)


def test_after_a_loss_of_power_a_new_life_begins_behind_the_old_one(opened: OpenedStore) -> None:
    old = opened.count_each(1, 2)
    opened.reopen(power_lost=True)
    assert ["life-1", "life-2"] == incarnations(opened)
    new = opened.count(4)
    assert [("life-1", 1, 1), ("life-1", 2, 2), ("life-2", 1, 4)] == opened.waiting()
    assert OutboxRun("life-1", 1, bytes(32), tuple(old)) == run_of(opened)
    opened.outbox.acknowledge("life-1", 2)
    assert OutboxRun("life-2", 1, bytes(32), (new,)) == run_of(opened)
    assert ["life-2"] == incarnations(opened)


def test_after_a_loss_of_power_with_nothing_to_send_the_old_life_is_gone(
    opened: OpenedStore,
) -> None:
    opened.count(1)
    opened.outbox.acknowledge("life-1", 1)
    opened.reopen(power_lost=True)
    assert ["life-2"] == incarnations(opened)
    assert (0, 1) == (opened.store.waiting_records(), opened.used())


def test_several_losses_of_power_keep_every_record_and_the_usage(opened: OpenedStore) -> None:
    for life in range(1, 6):
        opened.count_each(life, 10 * life)
        opened.reopen(power_lost=True)
    assert 165 == opened.used()
    assert 10 == opened.store.waiting_records() == len(opened.waiting())
    sent = []
    while run := run_of(opened):
        sent.append((run.incarnation, len(run.records), run.previous_chain))
        opened.outbox.acknowledge(run.incarnation, run.first_sequence + len(run.records) - 1)
    assert [(f"life-{n}", 2, bytes(32)) for n in range(1, 6)] == sent
    assert ["life-6"] == incarnations(opened)


def test_more_losses_of_power_than_lives_fit_lose_nothing(opened: OpenedStore) -> None:
    for _ in range(40):
        opened.count(1)
        opened.reopen(power_lost=True)
    assert (40, 40) == (opened.used(), len(opened.waiting()))
    assert len(opened.store.incarnations) <= 16


def test_what_an_earlier_life_counted_is_others_now(opened: OpenedStore) -> None:
    opened.count(5)
    opened.counters.hear("life-1", [total(MONTHLY, 7, 0, 1)])
    opened.reopen(power_lost=True)
    assert StoredCounter(0, 12, 1, MONTHLY.window.end_us) == opened.counter()
    opened.count(1)
    assert StoredCounter(1, 12, 1, MONTHLY.window.end_us) == opened.counter()


@pytest.mark.parametrize("common_sequence", [0, 1, 3])
def test_fenced_records_are_offered_again_under_a_new_name(
    opened: OpenedStore, common_sequence: int
) -> None:
    records = opened.count_each(1, 2, 4)
    fence(opened, common_sequence)
    assert ["life-2"] == incarnations(opened)
    again = [
        named(record, f"life-1-{sequence}")
        for sequence, record in enumerate(records, start=1)
        if sequence > common_sequence
    ]
    run = run_of(opened)
    assert (OutboxRun("life-2", 1, bytes(32), tuple(again)) if again else None) == run
    assert 7 == opened.used()
    last = opened.count(8)
    assert (chain_of(*again, last), 15) == (opened.store.head.chain, opened.used())


def test_a_moved_record_keeps_the_key_that_it_has(opened: OpenedStore) -> None:
    """Also the one that an earlier move gave it: every clone gives the same."""
    (record,) = opened.count_each(1)
    keyed = named(record_of(2), "k")
    opened.store.transact(lambda transaction: transaction.append(keyed))
    for _ in range(3):
        fence(opened, 0)
    run = run_of(opened)
    assert run is not None
    assert (named(record, "life-1-1"), keyed) == run.records


def test_fenced_records_come_before_those_counted_later(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    fence(opened, 0)
    opened.count(4)
    expected = [("life-2", 1, 1), ("life-2", 2, 2), ("life-2", 3, 4)]
    assert expected == opened.waiting()


def test_counting_goes_on_while_fenced_records_move(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(*[1] * (STEP_RECORDS + 5))
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    opened.count(1000)
    assert opened.outbox.move_fenced()
    opened.count(1000)
    assert not opened.outbox.move_fenced()
    waiting = [quantity for _, _, quantity in opened.waiting()]
    assert [1000] + [1] * STEP_RECORDS + [1000] + [1] * 5 == waiting
    assert 2000 + STEP_RECORDS + 5 == opened.used()
    assert StoredCounter(opened.used(), 0, 0, MONTHLY.window.end_us) == opened.counter()


def test_the_more_counters_records_have_the_fewer_move_in_a_step(opened: OpenedStore) -> None:
    refs = [counter_ref(BY_USER, (f"user {number}",)) for number in range(30)]
    record = record_of(1, *refs)
    with opened.store.group():
        for _ in range(10):
            opened.store.transact(lambda transaction: transaction.append(record))
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    assert opened.outbox.move_fenced()
    moved = [name for name, _, _ in opened.waiting()].count("life-2")
    assert STEP_RECORDS // 30 == moved
    move(opened)
    assert [("life-2", n, 1) for n in range(1, 11)] == opened.waiting()
    counters = [opened.counter(ref) for ref in refs]
    assert [10] * 30 == [counter.own for counter in counters if counter]


def test_a_record_with_more_counters_than_a_step_has_moves_alone(opened: OpenedStore) -> None:
    refs = [counter_ref(BY_USER, (f"user {n}",)) for n in range(STEP_RECORDS + 1)]
    record = record_of(1, *refs)
    for _ in range(2):
        opened.store.transact(lambda transaction: transaction.append(record))
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    assert opened.outbox.move_fenced()
    assert not opened.outbox.move_fenced()
    assert 2 == len(opened.waiting())


def test_leaving_much_that_is_in_common_comes_in_bounded_steps(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(*[1] * (STEP_RECORDS + 5))
    name, common = opened.new_incarnation(), STEP_RECORDS + 2
    assert opened.outbox.begin_incarnation(name, "life-1", common)
    assert ["life-1"] == incarnations(opened)
    opened.reopen()
    assert not opened.outbox.begin_incarnation(name, "life-1", common)
    assert ["life-1", name] == incarnations(opened)
    move(opened)
    assert [(name, n, 1) for n in (1, 2, 3)] == opened.waiting()


def test_a_restart_in_between_goes_on_with_the_move(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(*[1] * (STEP_RECORDS + 5))
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 2)
    opened.outbox.move_fenced()
    opened.reopen()
    move(opened)
    assert STEP_RECORDS + 3 == len(opened.waiting()) == opened.store.waiting_records()
    assert STEP_RECORDS + 5 == opened.used()
    assert ["life-2"] == incarnations(opened)


def test_a_loss_of_power_in_between_goes_on_with_the_move(opened: OpenedStore) -> None:
    with opened.store.group():
        opened.count_each(*[1] * (STEP_RECORDS + 5))
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    opened.outbox.move_fenced()
    opened.reopen(power_lost=True)
    move(opened)
    assert STEP_RECORDS + 5 == len(opened.waiting()) == opened.used()
    assert ["life-2", "life-3"] == incarnations(opened)


def test_fencing_an_earlier_life_moves_its_records_behind_all_others(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    opened.reopen(power_lost=True)
    opened.count(4)
    fence(opened, 1)
    assert ["life-2"] == incarnations(opened)
    assert [("life-2", 1, 4), ("life-2", 2, 2)] == opened.waiting()
    assert 7 == opened.used()


def test_fencing_twice_loses_and_doubles_nothing(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    fence(opened, 1)
    opened.count(4)
    fence(opened, 1)
    assert [("life-3", 1, 4)] == opened.waiting()
    assert 7 == opened.used()


def test_fencing_a_life_that_is_gone_is_without_effect(opened: OpenedStore) -> None:
    opened.count(1)
    fence(opened, 0)
    before = opened.waiting()
    opened.outbox.begin_incarnation("other", "life-1", 0)
    assert (["life-2"], before) == (incarnations(opened), opened.waiting())


def test_moved_records_count_as_own_with_the_usage_unchanged(opened: OpenedStore) -> None:
    ann = counter_ref(BY_USER, ("ann",))
    opened.count(5, ann)
    opened.counters.hear("life-1", [total(ann, 12, 0, 1)])
    assert 17 == opened.used(ann)
    fence(opened, 0)
    assert StoredCounter(5, 12, 1, ann.window.end_us, ("ann",)) == opened.counter(ann)


def test_tallies_are_of_the_present_life_and_include_what_moved(opened: OpenedStore) -> None:
    opened.count_each(1, 2, 4)
    fence(opened, 1)
    opened.count(8)
    assert {"calls": Tally(3, 14)} == opened.tallies()


def test_tallies_of_a_left_life_are_left_with_it(opened: OpenedStore) -> None:
    opened.count_each(1, 2)
    opened.reopen(power_lost=True)
    opened.count(4)
    opened.outbox.acknowledge("life-1", 2)
    assert {"calls": Tally(1, 4)} == opened.tallies()


def test_a_moved_record_with_a_swept_counter_is_still_sent(opened: OpenedStore) -> None:
    opened.store.transact(lambda transaction: transaction.append(record_of(3)))
    fence(opened, 0)
    assert [("life-2", 1, 3)] == opened.waiting()
    assert 0 == opened.used()


def test_answers_outlive_a_fencing(opened: OpenedStore) -> None:
    stored = opened.store.transact(keep_answer)
    opened.count(1)
    fence(opened, 0)
    opened.reopen(power_lost=True)
    assert stored == opened.store.transact(lambda transaction: transaction.answer(b"name"))
