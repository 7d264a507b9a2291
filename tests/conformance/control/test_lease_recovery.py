"""What every database behind the control plane has to do about recovery of leases."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery, MissingHolders
from sidecar.control.storage.values import CounterKey
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, TODAY, key_of, per_user

RECOVERY = LeaseRecovery(NOW_US, NOW_US + 1, NOW_US + DAY_US)


def _expect(store: PlaneStore, *holders: ExpectedHolder) -> None:
    with store.write() as transaction:
        transaction.put_expected_holders(holders)


def _holders(store: PlaneStore) -> tuple[list[ExpectedHolder], list[ExpectedHolder]]:
    """Those who have not reported, and those who have."""
    with store.read() as transaction:
        missing = transaction.expected_holders(reported=False, limit=10)
        assert missing[:1] == transaction.expected_holders(reported=False, limit=1)
        return missing, transaction.expected_holders(reported=True, limit=10)


def test_nothing_was_lost_at_first(store: PlaneStore) -> None:
    with store.read() as transaction:
        assert transaction.lease_recovery() is None
        assert MissingHolders() == transaction.missing_holders()
    assert ([], []) == _holders(store)


def test_the_last_loss_of_state_replaces_the_one_before(store: PlaneStore) -> None:
    for recovery in (RECOVERY, replace(RECOVERY, restored_us=5, ended_us=7)):
        with store.write() as transaction:
            transaction.put_lease_recovery(recovery)
        with store.read() as transaction:
            assert recovery == transaction.lease_recovery()


def test_missing_holders_are_summed_up_and_replaced_as_a_whole(store: PlaneStore) -> None:
    alice, bob = ExpectedHolder(ALICE, 30, False), ExpectedHolder(BOB, 20, True)
    _expect(store, alice, bob, ExpectedHolder(CAROL, 99, True, ALICE, reported=True))
    with store.read() as transaction:
        assert MissingHolders(2, 30, has_lifetime=True) == transaction.missing_holders()
    assert [alice, bob] == _holders(store)[0]
    _expect(store, bob)
    with store.read() as transaction:
        assert MissingHolders(1, 20, has_lifetime=True) == transaction.missing_holders()
    assert ([bob], []) == _holders(store)


def test_who_reports_does_so_for_those_of_whom_it_knows_the_last_request(
    store: PlaneStore,
) -> None:
    expected = [ExpectedHolder(who, 30, False, number=5) for who in (ALICE, BOB, CAROL)]
    _expect(store, *expected)
    stranger = "00000000-0000-4000-8000-00000000000e"
    with store.write() as transaction:
        transaction.note_reported(BOB, {ALICE: 5, BOB: 6, CAROL: 4, stranger: 9})
    done = [replace(holder, reporter=BOB, reported=True) for holder in expected[:2]]
    assert ([expected[2]], done) == _holders(store)
    with store.write() as transaction:
        transaction.note_reported(CAROL, {ALICE: 7})  # it was said already
    assert ([expected[2]], done) == _holders(store)


def test_holders_of_leases_are_known_by_the_windows_that_they_hold(store: PlaneStore) -> None:
    def lease(key: CounterKey, incarnation: str, number: int = 1) -> StoredLease:
        return StoredLease(key, incarnation, 1, number, 0, 1, 0, 0)

    today = key_of(per_user("eve"))
    with store.write() as transaction:
        transaction.put_leases([lease(today, ALICE, 3), lease(key_of(), ALICE), lease(today, BOB)])
        transaction.put_leases([lease(key_of(), CAROL)])
    with store.read() as reading:
        found = {holder.incarnation: holder for holder in reading.holders_of_leases()}
    assert {
        ALICE: ExpectedHolder(ALICE, TODAY.end_us, True, number=3),
        BOB: ExpectedHolder(BOB, TODAY.end_us, False, number=1),
        CAROL: ExpectedHolder(CAROL, 0, True, number=1),
    } == found


def test_the_revision_of_leases_is_raised_and_never_lowered(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.raise_lease_revision(7)
        assert 8 == transaction.next_lease_revision()
        transaction.raise_lease_revision(3)
        assert 8 == transaction.lease_revision()
