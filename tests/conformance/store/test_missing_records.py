"""Waiting records whose keys are damaged: the rest is sent, and what is missing is told."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.storage import keys
from sidecar.storage.quarantine import LostRecords, lost_records
from tests.conformance.store.test_damaged_outbox import in_quarantine, run_of, sent
from tests.support.stores import OpenedStore

COUNT: Final = 8
AT: Final = {"first": 1, "middle": 4, "last": COUNT}
BITS: Final = {
    "prefix": (0, 3),
    "first byte of the ordinal": (1, 6),
    "last bit of the ordinal": (4, 1),
    "first byte of the sequence": (5, 3),
}


def move_key(opened: OpenedStore, sequence: int, byte: int, bit: int) -> None:
    """Put an entry under the key with one bit changed, behind the store's back."""
    key = keys.outbox_key(opened.store.incarnations[0].ordinal, sequence)
    changed = bytearray(key)
    changed[byte] ^= 1 << bit
    kv = opened.store.engine.begin()
    entry = kv.get(key)
    assert entry is not None
    kv.delete(key)
    kv.put(bytes(changed), entry)
    kv.commit()


def remove(opened: OpenedStore, *sequences: int) -> None:
    """Take entries out, behind the store's back."""
    kv = opened.store.engine.begin()
    for sequence in sequences:
        kv.delete(keys.outbox_key(opened.store.incarnations[0].ordinal, sequence))
    kv.commit()


def lost(opened: OpenedStore) -> list[LostRecords]:
    return list(opened.store.transact(lambda transaction: lost_records(transaction.keyspace)))


def lost_count(opened: OpenedStore) -> int:
    return sum(one.damaged + one.missing for one in lost(opened))


@pytest.mark.parametrize("place", AT)
@pytest.mark.parametrize("name", BITS)
def test_all_but_what_a_damaged_key_hides_is_sent_and_that_is_told(
    opened: OpenedStore, name: str, place: str
) -> None:
    opened.count_each(*range(1, COUNT + 1))
    move_key(opened, AT[place], *BITS[name])
    opened.tallies()
    taken = sent(opened)
    # Behind a missing record the next one cannot be told to be whole.
    gone = 1 if place == "last" else 2
    assert COUNT - gone == len(taken)
    assert gone == lost_count(opened)
    assert gone == sum(in_quarantine(opened).values())
    assert 0 == opened.store.waiting_records()
    opened.count(9)
    assert 1 == len(sent(opened))


@pytest.mark.parametrize("reopened", [False, True], ids=["at run time", "after a start"])
def test_an_outbox_without_any_of_its_entries_goes_on(opened: OpenedStore, reopened: bool) -> None:
    opened.count_each(1, 2, 3)
    remove(opened, 1, 2)
    if reopened:
        opened.reopen()
    opened.tallies()
    assert [] == sent(opened)
    assert 3 == lost_count(opened)
    opened.count(4)
    assert 1 == len(sent(opened))


def test_nothing_of_what_waits_can_be_found(opened: OpenedStore) -> None:
    opened.count_each(1, 2, 3)
    remove(opened, 1, 2, 3)
    opened.tallies()
    run = run_of(opened)
    assert run is not None
    assert () == run.records
    assert [] == sent(opened)
    assert {"missing usage record": 3} == in_quarantine(opened)
    assert [("life-1", 0, 3)] == [
        (one.incarnation, one.damaged, one.missing) for one in lost(opened)
    ]
    assert 0 == opened.store.waiting_records()


@pytest.mark.parametrize("removed", [(1,), (1, 2, 3), (2,), (3,)], ids=str)
@pytest.mark.parametrize("reopened", [False, True], ids=["at run time", "after a start"])
def test_a_move_that_has_begun_steps_over_what_is_missing(
    opened: OpenedStore, removed: tuple[int, ...], reopened: bool
) -> None:
    opened.count_each(1, 2, 3)
    opened.outbox.begin_incarnation(opened.new_incarnation(), "life-1", 0)
    remove(opened, *removed)
    if reopened:
        opened.reopen()
    while opened.outbox.move_fenced():
        pass
    assert 1 == len(opened.store.incarnations)
    assert 3 == len(sent(opened)) + lost_count(opened)
    assert 0 == opened.store.waiting_records()


def test_the_end_of_an_incarnation_left_for_a_loss_of_power_is_known(opened: OpenedStore) -> None:
    opened.count_each(1, 2, 3)
    opened.reopen(power_lost=True)
    remove(opened, 2, 3)
    assert 1 == len(sent(opened))
    assert 2 == lost_count(opened)
    assert ["life-2"] == [known.id for known in opened.store.incarnations]


def test_what_the_plane_has_is_no_loss_though_it_cannot_be_found(opened: OpenedStore) -> None:
    opened.count_each(1, 2, 3)
    remove(opened, 1, 2, 3)
    opened.outbox.acknowledge("life-1", 3)
    assert run_of(opened) is None
    assert [] == lost(opened)
    opened.count(4)
    assert 1 == len(sent(opened))
