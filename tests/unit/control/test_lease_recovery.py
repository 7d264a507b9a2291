"""A plane whose database is an older state grants nothing that others may hold already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.rules.history import Greeting
from sidecar.control.rules.lease_recovery import AHEAD_US_MAX, Recovery
from sidecar.control.services import ingest, lease_recovery, snapshots
from sidecar.control.services.lease_recovery import HeldLease, Reported, open_leases, report
from sidecar.control.storage.lease_values import StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.recovery_values import ExpectedHolder, LeaseRecovery, MissingHolders
from sidecar.control.storage.values import CounterKey
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed, WitnessedHolder
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.errors import Unavailable
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, TODAY, Writer, key_of, record

MONTH: Final = Window(NOW_US - 20 * DAY_US, NOW_US + 10 * DAY_US)
TOMORROW: Final = Window(TODAY.end_us, TODAY.end_us + DAY_US)
SOON: Final = Window(NOW_US + MINUTE_US, NOW_US + HOUR_US)
DAILY: Final = CounterRef("DAY/1/CALENDAR||", (), TODAY)
LEASE: Final = StoredLease(key_of(DAILY), ALICE, 10, 1, TODAY.end_us, 100, NOW_US, NOW_US)


def epoch_of(store: PlaneStore) -> str:
    with store.read() as transaction:
        return transaction.state().epoch


def revision_of(store: PlaneStore) -> int:
    with store.read() as transaction:
        return transaction.lease_revision()


def grant(store: PlaneStore, *leases: StoredLease) -> int:
    with store.write() as transaction:
        transaction.put_leases(leases)
        return transaction.next_lease_revision()


def lease_of(
    store: PlaneStore, incarnation: str = ALICE, key: CounterKey = LEASE.key
) -> StoredLease:
    with store.read() as transaction:
        found = transaction.lease_of(key, incarnation)
    assert found is not None
    return found


def withheld(store: PlaneStore, window: Window = TODAY, now_us: int = NOW_US) -> bool:
    with store.read() as transaction:
        return lease_recovery.current(transaction).withholds(window, now_us)


def open_(store: PlaneStore, witness: MemoryWitness, now_us: int = NOW_US) -> bool:
    return open_leases(store, witness, now_us, lifetime_us=DAY_US)


def lost(store: PlaneStore, **holders: WitnessedHolder) -> MemoryWitness:
    """Let the database turn out to be an older state, since which holders were granted leases."""
    named = {"alice": ALICE, "bob": BOB, "carol": CAROL}
    seen = {named[name]: holder for name, holder in holders.items()}
    witness = MemoryWitness(Witnessed(9, 0, seen))
    assert open_(store, witness)
    return witness


def tell(
    store: PlaneStore,
    *held: HeldLease,
    who: str = ALICE,
    complete: bool = True,
    numbers: Mapping[str, int] | None = None,
) -> Reported:
    last_numbers = numbers or {} if complete else None
    return report(store, who, epoch_of(store), held, NOW_US, last_numbers=last_numbers)


def holds(
    granted: int, incarnation: str = ALICE, key: CounterKey = LEASE.key, number: int = 5
) -> HeldLease:
    return HeldLease(key, incarnation, granted, number, TODAY.end_us)


WAITING: Final = LeaseRecovery(NOW_US, 0, NOW_US + DAY_US)
UNTIL_TONIGHT: Final = MissingHolders(1, TODAY.end_us)
BEGUN: Final = [SOON, TODAY, MONTH, LIFETIME_WINDOW]
EVERYTHING: Final = MissingHolders(1, MONTH.end_us, has_lifetime=True)


@pytest.mark.parametrize(
    ("last", "missing", "withheld"),
    [
        pytest.param(None, MissingHolders(), [], id="no_state_was_lost"),
        pytest.param(WAITING, MissingHolders(), [], id="all_have_reported"),
        pytest.param(WAITING, UNTIL_TONIGHT, BEGUN, id="a_window_that_ends_sooner"),
        pytest.param(WAITING, MissingHolders(1, 0, has_lifetime=True), BEGUN, id="lifetime_alone"),
        pytest.param(WAITING, EVERYTHING, BEGUN, id="whatever_had_begun"),
        pytest.param(WAITING, MissingHolders(1, NOW_US), [], id="all_that_they_may_hold_is_over"),
        pytest.param(
            replace(WAITING, unknown_until_us=FOREVER_US),
            MissingHolders(),
            BEGUN,
            id="nobody_knows_who",
        ),
        pytest.param(
            replace(WAITING, unknown_until_us=NOW_US), MissingHolders(), [], id="time_is_up"
        ),
        pytest.param(
            replace(WAITING, lifetime_until_us=NOW_US),
            EVERYTHING,
            BEGUN[:-1],
            id="lifetime_was_released",
        ),
        pytest.param(
            replace(WAITING, ended_us=NOW_US, unknown_until_us=FOREVER_US),
            EVERYTHING,
            [],
            id="an_operator_ended_it",
        ),
    ],
)
def test_in_which_windows_nothing_is_granted(
    last: LeaseRecovery | None, missing: MissingHolders, withheld: list[Window]
) -> None:
    recovery = Recovery(last, missing)
    windows = [SOON, TODAY, TOMORROW, MONTH, LIFETIME_WINDOW]
    assert withheld == [window for window in windows if recovery.withholds(window, NOW_US)]
    # The next window counts as begun from when its leases may have been asked for ahead.
    assert SOON.start_us < NOW_US + AHEAD_US_MAX <= TOMORROW.start_us
    assert bool(withheld) == recovery.is_waiting(NOW_US)


@pytest.mark.parametrize("seen", [None, Witnessed(0, 0, {}), Witnessed(0, 5, {})])
def test_a_database_without_leases_has_lost_none(store: PlaneStore, seen: Witnessed | None) -> None:
    epoch, witness = epoch_of(store), MemoryWitness(seen)
    assert not open_(store, witness)
    assert (epoch, 0) == (epoch_of(store), revision_of(store))
    assert not withheld(store)
    assert Witnessed(0, NOW_US, {}) == witness.read()


def test_a_witness_that_knows_all_changes_nothing(store: PlaneStore) -> None:
    epoch, revision = epoch_of(store), grant(store, LEASE)
    seen = Witnessed(revision, NOW_US, {ALICE: WitnessedHolder(revision, TODAY.end_us)})
    witness = MemoryWitness(seen)
    assert not open_(store, witness)
    assert (epoch, revision, seen) == (epoch_of(store), revision_of(store), witness.read())
    assert not withheld(store)


def test_after_a_crash_between_commit_and_witness_the_witness_is_brought_up(
    store: PlaneStore,
) -> None:
    witness = MemoryWitness(Witnessed(grant(store, LEASE), NOW_US, {}))
    forever = replace(LEASE, key=key_of(), incarnation=BOB)
    epoch, revision = epoch_of(store), grant(store, forever)
    assert not open_(store, witness)
    assert epoch == epoch_of(store)
    assert not withheld(store)
    seen = witness.read()
    assert seen is not None
    assert revision == seen.revision
    # So that an answer that is given again, to the same number, has its witness too.
    assert WitnessedHolder(revision, 0, has_lifetime=True, number=1) == seen.holders[BOB]


def test_an_older_state_has_a_new_epoch_and_goes_on_past_what_was_known(store: PlaneStore) -> None:
    epoch = epoch_of(store)
    witness = lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    assert epoch != epoch_of(store)
    assert withheld(store)
    assert not withheld(store, TOMORROW)
    seen = witness.read()
    assert seen is not None
    assert 10 == revision_of(store) == seen.revision
    epoch = epoch_of(store)
    assert not open_(store, witness)  # the next start
    assert epoch == epoch_of(store)
    assert withheld(store)


def test_only_who_was_granted_something_since_is_waited_for(store: PlaneStore) -> None:
    revision = grant(store, replace(LEASE, incarnation=BOB))
    seen = {
        ALICE: WitnessedHolder(9, TODAY.end_us),
        BOB: WitnessedHolder(revision, MONTH.end_us, has_lifetime=True),
    }
    assert open_(store, MemoryWitness(Witnessed(9, 0, seen)))
    assert withheld(store)
    assert not withheld(store, MONTH, TODAY.end_us)  # Alice holds nothing any more
    assert not withheld(store, LIFETIME_WINDOW, TODAY.end_us)
    [missing] = lease_recovery.recovery_status(store, NOW_US).missing
    assert (ALICE, None) == (missing.holder.incarnation, missing.heard_us)


@pytest.mark.parametrize("leases", [[LEASE], []], ids=["with_leases", "from_before_the_first_one"])
def test_without_the_witness_that_it_had_a_database_waits_for_the_windows_to_end(
    store: PlaneStore, leases: list[StoredLease]
) -> None:
    assert not open_(store, MemoryWitness())
    if leases:
        grant(store, *leases)
    epoch, witness = epoch_of(store), MemoryWitness()
    assert open_(store, witness)
    assert epoch != epoch_of(store)
    assert witness.read() is not None
    tell(store, holds(10))
    for window in (TODAY, MONTH, LIFETIME_WINDOW):
        assert withheld(store, window)
    assert not withheld(store, TOMORROW)
    assert not withheld(store, LIFETIME_WINDOW, NOW_US + DAY_US)


def test_a_database_whose_first_start_ended_behind_its_witness_has_lost_nothing(
    store: PlaneStore,
) -> None:
    class Dying(MemoryWitness):
        """Dies with the plane as soon as something is on disk."""

        def note(self, seen: Witnessed) -> None:
            super().note(seen)
            raise Unavailable("", "power cut", "STORE_UNAVAILABLE")

    dying = Dying()
    with pytest.raises(Unavailable):
        open_(store, dying)
    assert not open_(store, MemoryWitness(dying.read()))
    assert open_(store, MemoryWitness())


def test_a_plane_whose_clock_is_behind_reckons_with_the_time_that_was(store: PlaneStore) -> None:
    holder = WitnessedHolder(9, TOMORROW.end_us)
    witness = MemoryWitness(Witnessed(9, TOMORROW.start_us + HOUR_US, {ALICE: holder}))
    assert open_(store, witness, NOW_US)
    assert withheld(store, TOMORROW)


def test_it_ends_once_all_that_are_expected_have_reported_everything(store: PlaneStore) -> None:
    until = WitnessedHolder(9, TODAY.end_us)
    lost(store, alice=until, bob=until)
    tell(store, holds(30), complete=False)
    tell(store, holds(7, BOB), who=BOB)
    assert withheld(store)
    assert (30, 5) == (lease_of(store).granted, lease_of(store).number)
    tell(store)
    assert not withheld(store)
    assert not lease_recovery.recovery_of(store).is_waiting(NOW_US)


def test_a_new_life_reports_for_those_before_it(store: PlaneStore) -> None:
    until = WitnessedHolder(9, TODAY.end_us, number=5)
    lost(store, alice=until, bob=until)
    tell(store, holds(30, ALICE), who=CAROL, complete=False)
    assert 2 == len(lease_recovery.recovery_status(store, NOW_US).missing)
    tell(store, who=CAROL, numbers={ALICE: 5, CAROL: 7})
    [missing] = lease_recovery.recovery_status(store, NOW_US).missing
    assert BOB == missing.holder.incarnation
    assert 30 == lease_of(store, ALICE).granted


def test_a_copy_does_not_report_for_its_original_that_was_granted_more_since(
    store: PlaneStore,
) -> None:
    lost(store, alice=WitnessedHolder(9, TODAY.end_us, number=5))
    copied = holds(8, ALICE, number=4)
    tell(store, copied, who=CAROL, numbers={ALICE: 4, CAROL: 9})
    tell(store, copied, who=CAROL)
    assert withheld(store)
    tell(store, holds(54))
    assert not withheld(store)
    assert 54 == lease_of(store).granted


def test_who_holds_leases_is_believed_of_itself_whatever_it_asked_last(store: PlaneStore) -> None:
    lost(store, alice=WitnessedHolder(9, TODAY.end_us, number=5))
    tell(store, numbers={ALICE: 4})
    assert not withheld(store)


@pytest.mark.parametrize(("granted", "asked_us"), [(30, NOW_US), (10, NOW_US - HOUR_US)])
def test_who_holds_more_than_is_known_has_asked_since(
    store: PlaneStore, granted: int, asked_us: int
) -> None:
    grant(store, replace(LEASE, asked_us=NOW_US - HOUR_US))
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    tell(store, holds(granted))
    assert (granted, asked_us) == (lease_of(store).granted, lease_of(store).asked_us)


def test_who_never_comes_back_is_waited_for_until_its_windows_end(store: PlaneStore) -> None:
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    tell(store, who=BOB)
    assert withheld(store)
    assert lease_recovery.recovery_of(store).is_waiting(TODAY.end_us - 1)
    assert not lease_recovery.recovery_of(store).is_waiting(TODAY.end_us)


def test_an_operator_ends_it_who_has_seen_this_loss_of_state(store: PlaneStore) -> None:
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    assert not lease_recovery.end_recovery(store, NOW_US - 1, NOW_US + 5)
    assert withheld(store)
    assert lease_recovery.end_recovery(store, NOW_US, NOW_US + 5)
    assert not withheld(store)
    assert not lease_recovery.end_recovery(store, NOW_US, NOW_US + 6)
    tell(store, holds(30))  # who comes later is believed all the same
    assert 30 == lease_of(store).granted


def test_a_second_loss_adds_to_those_who_are_waited_for(store: PlaneStore) -> None:
    until = WitnessedHolder(9, TODAY.end_us)
    lost(store, alice=until, bob=until)
    tell(store, who=BOB)
    again = Witnessed(20, 0, {CAROL: WitnessedHolder(20, TODAY.end_us), BOB: until})
    assert open_(store, MemoryWitness(again))
    missing = lease_recovery.recovery_status(store, NOW_US).missing
    assert [ALICE, CAROL] == [each.holder.incarnation for each in missing]
    assert lease_recovery.end_recovery(store, NOW_US, NOW_US)
    third = Witnessed(30, 0, {BOB: WitnessedHolder(30, TODAY.end_us)})
    assert open_(store, MemoryWitness(third))
    [left] = lease_recovery.recovery_status(store, NOW_US).missing
    assert ExpectedHolder(BOB, TODAY.end_us, False) == left.holder


def test_a_sidecar_shows_a_loss_that_the_witness_does_not_and_has_a_moment_to_report(
    store: PlaneStore,
) -> None:
    writer = Writer(ALICE)
    writer.write(record(1))
    writer.push(store)
    grant(store, LEASE)
    epoch, later_us = epoch_of(store), NOW_US + HOUR_US

    def greet(incarnation: str, confirmed: int, at_us: int) -> ingest.Welcome:
        greeting = Greeting(confirmed, confirmed, bytes(32))
        return ingest.greet(store, incarnation, "node", greeting, at_us)

    greet(BOB, 99, later_us)  # of whom nothing is known: it may be another plane's
    assert epoch == epoch_of(store)
    welcome = greet(ALICE, 99, later_us)
    assert epoch != welcome.state.epoch == epoch_of(store)
    assert withheld(store, TODAY, later_us)
    assert not withheld(store, TODAY, later_us + MINUTE_US)
    tell(store, holds(30))
    assert 30 == lease_of(store).granted
    for at_us in (later_us + 1, later_us + 2):
        greet(ALICE, 99, at_us)  # it says so until it has taken a new incarnation
    assert welcome.state.epoch == epoch_of(store)


def test_what_sidecars_show_of_a_loss_that_is_known_is_no_second_one(store: PlaneStore) -> None:
    writer = Writer(ALICE)
    writer.write(record(1))
    writer.push(store)
    lost(store, alice=WitnessedHolder(9, TODAY.end_us))
    epoch = epoch_of(store)
    ingest.greet(store, ALICE, "node", Greeting(99, 99, bytes(32)), NOW_US + HOUR_US)
    assert epoch == epoch_of(store)


def test_a_loss_that_somebody_makes_up_keeps_leases_from_others_for_a_minute_an_hour(
    store: PlaneStore,
) -> None:
    grant(store, LEASE)
    for minutes in (0, 1, 30, 59):
        at_us = NOW_US + minutes * MINUTE_US
        snapshots.start(store, 7, False, at_us)
        assert (minutes == 0) == withheld(store, now_us=at_us)
    snapshots.start(store, 7, False, NOW_US + HOUR_US)
    assert withheld(store, now_us=NOW_US + HOUR_US)


def test_a_watch_from_a_later_revision_shows_a_loss_too(store: PlaneStore) -> None:
    grant(store, LEASE)
    snapshots.start(store, 7, False, NOW_US)
    assert withheld(store)
    assert Reported(1, 0) == tell(store, holds(30))
