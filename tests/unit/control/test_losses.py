"""Usage that is gone is remembered until an operator has seen it."""

from __future__ import annotations

import pytest

from sidecar.control.errors import SequenceGap
from sidecar.control.rules.history import Greeting
from sidecar.control.services import ingest, losses
from sidecar.control.services.losses import LostStore
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import Loss, LossCount
from sidecar.domain.bounds import INT64_MAX
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, Writer, record, set_up

NONE = LossCount()
CHAIN = bytes(32)


def unseen(store: PlaneStore) -> list[tuple[str, int, int]]:
    found, count = losses.list_losses(store, with_acknowledged=False)
    assert len(found) == count.losses
    return [(loss.incarnation, loss.first_sequence, loss.last_sequence) for loss in found]


def greet(store: PlaneStore, incarnation: str, confirmed: int, *lost: LostStore) -> ingest.Welcome:
    greeting = Greeting(confirmed + 5, confirmed, CHAIN)
    return ingest.greet(store, incarnation, "node", greeting, NOW_US, lost)


def test_a_sidecar_that_was_told_of_more_than_the_ledger_has_shows_the_loss_once(
    store: PlaneStore,
) -> None:
    for _ in range(3):
        assert greet(store, ALICE, 1_200).fenced
    assert [(ALICE, 1, 1_200)] == unseen(store)
    assert LossCount(1, 1_200) == losses.count_losses(store)
    greet(store, ALICE, 1_300)
    assert [(ALICE, 1, 1_300)] == unseen(store)


def test_of_a_restored_ledger_what_came_after_the_backup_is_lost(store: PlaneStore) -> None:
    set_up(store, "acme")
    writer = Writer(ALICE)
    writer.write(*(record(1) for _ in range(5)))
    writer.push(store)
    greet(store, ALICE, 9)
    assert [(ALICE, 6, 9)] == unseen(store)


def test_a_push_that_leaves_a_gap_shows_the_loss_without_a_greeting(store: PlaneStore) -> None:
    set_up(store, "acme")
    writer = Writer(ALICE)
    writer.write(*(record(1) for _ in range(5)))
    with pytest.raises(SequenceGap):
        writer.push(store, 4)
    assert [(ALICE, 1, 3)] == unseen(store)


def test_records_that_come_all_the_same_are_no_loss(store: PlaneStore) -> None:
    set_up(store, "acme")
    writer = Writer(ALICE)
    writer.write(*(record(1) for _ in range(5)))
    with pytest.raises(SequenceGap):
        writer.push(store, 4)
    writer.push(store)
    assert NONE == losses.count_losses(store)


def test_a_sidecar_that_knows_no_more_than_the_ledger_has_lost_nothing(store: PlaneStore) -> None:
    set_up(store, "acme")
    writer = Writer(ALICE)
    writer.write(record(1))
    writer.push(store)
    greet(store, ALICE, 1)
    greet(store, BOB, 0)
    assert NONE == losses.count_losses(store)


def test_a_lost_store_is_remembered_once_however_often_it_is_told(store: PlaneStore) -> None:
    lost = [LostStore(BOB, 7, "deleted"), LostStore("", 8, "empty"), LostStore("", 9, "empty")]
    greet(store, ALICE, 0, *lost)
    greet(store, CAROL, 0, *lost)
    assert [("", 0, 0), ("", 0, 0), (BOB, 0, 0)] == unseen(store)
    assert LossCount(3, 0) == losses.count_losses(store)


def test_what_was_acknowledged_is_shown_no_more_but_stays(store: PlaneStore) -> None:
    greet(store, ALICE, 10)
    greet(store, BOB, 0, LostStore("", NOW_US + 1, "deleted after it was looked at"))
    assert 1 == losses.acknowledge_losses(store, NOW_US, NOW_US + 5)
    assert [("", 0, 0)] == unseen(store)
    everything, _ = losses.list_losses(store, with_acknowledged=True)
    assert [None, NOW_US + 5] == [loss.acknowledged_us for loss in everything]
    greet(store, ALICE, 10)
    assert [("", 0, 0)] == unseen(store)
    greet(store, ALICE, 11)
    assert (ALICE, 1, 11) in unseen(store)


def test_the_sum_of_lost_records_saturates(store: PlaneStore) -> None:
    with store.write() as transaction:
        for incarnation in (ALICE, BOB):
            transaction.put_loss(Loss(incarnation, 1, INT64_MAX, "", "", NOW_US))
    assert LossCount(2, INT64_MAX) == losses.count_losses(store)
