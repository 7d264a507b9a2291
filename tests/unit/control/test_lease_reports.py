"""What a plane believes of a report of leases, with and without a loss of state."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.control.services.lease_recovery import Reported, report
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import KnownIncarnation
from sidecar.control.storage.witness_port import WitnessedHolder
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.limits.counters import CounterRef
from tests.unit.control.support import ALICE, BOB, NOW_US, TODAY, key_of
from tests.unit.control.test_lease_recovery import (
    LEASE,
    TOMORROW,
    epoch_of,
    grant,
    holds,
    lease_of,
    lost,
    revision_of,
    tell,
    withheld,
)


@pytest.mark.parametrize(
    ("reported", "number", "granted"),
    [
        pytest.param(INT64_MAX, 5, INT64_MAX, id="more_was_granted_since"),
        pytest.param(INT64_MAX, 2, INT64_MAX, id="more_under_an_earlier_number_is_believed_too"),
        pytest.param(40, 5, 40, id="some_was_given_back_since"),
        pytest.param(0, 5, 0, id="all_was_given_back_since"),
        pytest.param(40, 3, 50, id="the_answer_may_not_have_arrived"),
        pytest.param(40, 2, 50, id="an_older_report"),
    ],
)
def test_a_report_says_how_it_is_if_its_number_is_later(
    store: PlaneStore, reported: int, number: int, granted: int
) -> None:
    grant(store, replace(LEASE, granted=50, number=3))
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    for _ in range(2):  # told again
        tell(store, holds(reported, number=number))
        assert granted == lease_of(store).granted
        assert max(number, 3) == lease_of(store).number


@pytest.mark.parametrize("who", [ALICE, BOB], ids=["itself", "a_later_life"])
@pytest.mark.parametrize(
    ("number", "most", "granted"),
    [
        pytest.param(5, 70, 70, id="the_plane_does_not_know_the_request"),
        pytest.param(5, 0, 60, id="its_answer_was_taken"),
        pytest.param(3, 70, 60, id="the_plane_knows_what_it_was_granted"),
        pytest.param(2, 70, 60, id="the_plane_knows_a_later_request"),
    ],
)
def test_who_has_not_taken_an_answer_may_hold_all_that_it_has_asked_for(
    store: PlaneStore, who: str, number: int, most: int, granted: int
) -> None:
    grant(store, replace(LEASE, granted=60, number=3))
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    for _ in range(2):  # told again
        tell(store, replace(holds(60, number=number), granted_max=most), who=who)
        assert granted == lease_of(store).granted


def test_what_may_have_been_granted_does_not_count_where_no_state_was_lost(
    store: PlaneStore,
) -> None:
    grant(store, replace(LEASE, granted=50, number=3))
    assert Reported(1, 0) == tell(store, replace(holds(50), granted_max=70))
    assert 50 == lease_of(store).granted


@pytest.mark.parametrize(
    ("number", "counted"),
    [
        pytest.param(5, 20, id="some_is_sent_again_since"),
        pytest.param(3, 30, id="an_older_report"),
    ],
)
def test_what_was_counted_for_certain_is_kept_as_it_was_last_told(
    store: PlaneStore, number: int, counted: int
) -> None:
    grant(store, replace(LEASE, granted=50, number=3, counted=30))
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    for _ in range(2):
        tell(store, replace(holds(40, number=number), counted=20))
        assert counted == lease_of(store).counted


def test_what_was_given_back_is_believed_without_a_loss_too(store: PlaneStore) -> None:
    grant(store, replace(LEASE, granted=50, number=3))
    assert Reported(1, 0) == tell(store, holds(40))
    assert 40 == lease_of(store).granted


def test_what_was_released_is_held_again_where_the_holder_says_more(store: PlaneStore) -> None:
    grant(store, replace(LEASE, released=True))
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    tell(store, holds(10))
    assert lease_of(store).released
    tell(store, holds(11))
    assert not lease_of(store).released


def test_a_report_under_another_epoch_is_refused_and_nothing_moves(store: PlaneStore) -> None:
    epoch = epoch_of(store)
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    for told in (epoch, "", "x" * 300):
        with pytest.raises(FailedPrecondition) as refused:
            report(store, ALICE, told, [holds(30)], NOW_US, last_numbers={})
        assert "EPOCH_CHANGED" == refused.value.reason
    with store.read() as transaction:
        assert transaction.lease_of(LEASE.key, ALICE) is None
    assert withheld(store)


@pytest.mark.parametrize("after_a_loss", [False, True])
def test_more_than_was_granted_is_not_believed_of_what_cannot_have_been_lost(
    store: PlaneStore, after_a_loss: bool
) -> None:
    later = CounterRef("DAY/1/CALENDAR||", (), TOMORROW)
    key = key_of(later) if after_a_loss else LEASE.key
    lease = replace(LEASE, key=key)
    grant(store, lease)
    if after_a_loss:
        lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    revision = revision_of(store)
    assert Reported(0, 1) == tell(store, holds(11, key=key))
    assert Reported(0, 1) == tell(store, holds(1, BOB, key), who=BOB)
    assert Reported(0, 0) == tell(store, holds(10, key=key, number=1))
    assert (lease, revision) == (lease_of(store, key=key), revision_of(store))


def fence(store: PlaneStore, incarnation: str) -> None:
    with store.write() as transaction:
        transaction.put_incarnation(KnownIncarnation(incarnation, fenced=True))


@pytest.mark.parametrize("after_a_loss", [False, True])
@pytest.mark.parametrize("granted", [0, 49, 50])
def test_nobody_says_of_another_store_that_lives_that_it_gave_something_back(
    store: PlaneStore, granted: int, after_a_loss: bool
) -> None:
    lease = replace(LEASE, granted=50, number=3)
    grant(store, lease)
    if after_a_loss:
        lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    assert Reported(0, 0) == tell(store, holds(granted, number=10**6), who=BOB)
    assert lease == lease_of(store)
    fence(store, ALICE)  # who is, asks for nothing any more: a later life tells how it was
    told = tell(store, holds(granted), who=BOB)
    if not after_a_loss:  # but a copy may be fenced for what its original has spent
        assert (Reported(0, 0), lease) == (told, lease_of(store))
        return
    assert Reported(1, 0) == told
    assert (granted, 5) == (lease_of(store).granted, lease_of(store).number)


def test_another_store_is_believed_that_one_holds_more_only_where_state_was_lost(
    store: PlaneStore,
) -> None:
    grant(store, LEASE)
    assert Reported(0, 1) == tell(store, holds(30), who=BOB)
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    assert Reported(1, 0) == tell(store, holds(30), who=BOB)
    assert 30 == lease_of(store).granted
