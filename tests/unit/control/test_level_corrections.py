"""No level falls below nothing at the plane, whoever takes back the same thing at the same time."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.rpc.level_answers import get_level_bill
from sidecar.control.services import level_corrections
from sidecar.control.services.levels import level_bill
from sidecar.control.services.totals import changes
from sidecar.control.storage.level_port import excess_part
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey, TotalsPosition
from sidecar.domain.bounds import INT64_MAX
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, Writer
from tests.unit.control.test_level_bills import LEVEL, changed, plane, used

__all__ = ["plane"]

KEY: Final = CounterKey("acme", "jobs", LEVEL)


@pytest.fixture
def pods(plane: PlaneStore) -> Pods:
    return Pods(plane)


class Pods:
    """Sidecars, each of which pushes as soon as it has written."""

    def __init__(self, store: PlaneStore) -> None:
        self.store = store
        self._writers = {name: Writer(name) for name in (ALICE, BOB, CAROL)}

    def change(self, name: str, *changes: tuple[int, int]) -> int:
        """Push changes, (quantity, microseconds from now) each; what is in use then."""
        writer = self._writers[name]
        writer.write(*[changed(quantity, NOW_US + at_us) for quantity, at_us in changes])
        writer.push(self.store)
        return used(self.store)

    @property
    def excesses(self) -> dict[int, int]:
        """What was taken back too much, by microseconds from now."""
        with self.store.read() as transaction:
            found = transaction.level_excesses(KEY)
        return {at_us - NOW_US: amount for at_us, amount in found.items()}


def billed(store: PlaneStore, until_us: int) -> tuple[int, int]:
    """Peak, and units times microseconds, from now until so much later."""
    found = level_bill(store, "acme", "jobs", NOW_US, NOW_US + until_us).bill
    return found.peak, found.unit_us


def test_what_two_take_back_at_once_leaves_nothing_and_what_comes_then_counts(pods: Pods) -> None:
    pods.change(ALICE, (10, 0))
    assert [0, 0] == [pods.change(ALICE, (-10, 5)), pods.change(BOB, (-10, 6))]
    assert 10 == pods.change(ALICE, (10, 10))
    assert {6: 10} == pods.excesses
    assert (10, 10 * 5 + 10 * 10) == billed(pods.store, 20)


def test_what_came_to_be_in_use_before_and_is_heard_late_makes_up_for_it(pods: Pods) -> None:
    assert 0 == pods.change(BOB, (-10, 6))
    assert 4 == pods.change(CAROL, (4, 8))
    assert 4 == pods.change(ALICE, (10, 1))
    assert {} == pods.excesses
    assert (10, 10 * 5 + 4 * 12) == billed(pods.store, 20)


def test_late_usage_makes_up_for_what_it_can_and_the_rest_is_in_use(pods: Pods) -> None:
    pods.change(BOB, (-3, 6))
    pods.change(BOB, (-4, 9))
    assert 1 == pods.change(ALICE, (8, 1))
    pods.change(BOB, (-5, 10))
    assert {10: 4} == pods.excesses
    assert 2 == pods.change(CAROL, (2, 11))


def test_what_comes_behind_an_excess_of_the_same_push_is_in_use(pods: Pods) -> None:
    assert 10 == pods.change(BOB, (-10, 6), (10, 6))
    assert 10 == pods.change(ALICE, (10, 1))


def test_of_many_excesses_the_earliest_become_one(
    pods: Pods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level_corrections, "EXCESSES_MAX", 2)
    for at_us in (1, 2, 3, 4):
        assert 0 == pods.change(BOB, (-at_us, at_us))
    assert {1: 6, 4: 4} == pods.excesses


def test_an_excess_is_a_part_of_the_counter_that_everybody_hears_of(pods: Pods) -> None:
    pods.change(ALICE, (10, 0))
    pods.change(ALICE, (-10, 5))
    pods.change(BOB, (-10, 6))
    (state,), _ = changes(pods.store, TotalsPosition(0, None), 10)
    assert {ALICE: 0, BOB: -10, excess_part(NOW_US + 6): 10} == state.parts
    assert 0 == state.total


def test_a_level_that_fell_below_nothing_before_is_mended_by_the_next_change(pods: Pods) -> None:
    with pods.store.write() as transaction:
        transaction.add_to_counters(BOB, {KEY: -7}, transaction.next_ledger_version(NOW_US))
    assert 5 == pods.change(ALICE, (5, 1))
    assert 0 == pods.change(ALICE, (-5, 2))


def test_whatever_was_recorded_has_a_bill_that_an_answer_holds(pods: Pods) -> None:
    for at_us, name in enumerate((ALICE, BOB, CAROL)):
        pods.change(name, (INT64_MAX, at_us))
    request = control_pb2.GetLevelBillRequest(company="acme", feature="jobs")
    found = get_level_bill(pods.store, request, NOW_US + 5)
    assert INT64_MAX == found.peak
    assert str(12 * INT64_MAX) == found.unit_microseconds


def test_what_falls_below_the_smallest_number_is_taken(pods: Pods) -> None:
    for at_us in range(3):
        assert 0 == pods.change(ALICE, (-(2**63), at_us))
    assert 5 == pods.change(ALICE, (5, 9))
