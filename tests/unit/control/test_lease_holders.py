"""Who holds which leases, as operators see it, and what becomes of those of silent holders."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services.lease_holders import (
    SILENT_US,
    CounterLeases,
    LeasesWanted,
    behind,
    list_leases,
)
from sidecar.control.services.lease_maintenance import (
    KEPT_US,
    LeaseLooker,
    forget_leases,
    forget_witnessed,
    note_heard,
)
from sidecar.control.services.lease_settling import (
    Settled,
    Settlement,
    heard_within_us,
    release,
    settle,
)
from sidecar.control.storage.lease_values import LeasePlace, StoredLease
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey, KnownIncarnation
from sidecar.control.storage.witness_port import MemoryWitness, Witnessed, WitnessedHolder
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.errors import FailedPrecondition
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import DAY_US
from tests.unit.control.support import (
    ALICE,
    BOB,
    CAROL,
    NOW_US,
    TODAY,
    key_of,
    per_user,
    set_up,
    used,
)

EVERYTHING: Final = LeasesWanted()
EVE: Final = key_of(per_user("eve"))
NOBODY: Final = frozenset[str]()


def lease(
    granted: int, who: str = ALICE, key: CounterKey | None = None, asked_us: int = NOW_US
) -> StoredLease:
    return StoredLease(key or key_of(), who, granted, 1, FOREVER_US, 1_000, asked_us, NOW_US)


def left_behind(granted: int, counted: int, who: str = ALICE) -> StoredLease:
    """A lease whose holder was left since a loss of state."""
    return replace(lease(granted, who), counted=counted)


def grant(store: PlaneStore, *leases: StoredLease) -> None:
    with store.write() as transaction:
        transaction.put_leases(leases)
        transaction.next_lease_revision()


def count(store: PlaneStore, who: str, amount: int, key: CounterKey | None = None) -> None:
    with store.write() as transaction:
        version = transaction.next_ledger_version(NOW_US)
        transaction.add_to_counters(who, {key or key_of(): amount}, version)


def hear(store: PlaneStore, who: str, heard_us: int, node: str = "") -> None:
    with store.write() as transaction:
        transaction.put_incarnation(KnownIncarnation(who, node=node, last_heard_us=heard_us))


def listed(
    store: PlaneStore,
    wanted: LeasesWanted = EVERYTHING,
    watching: frozenset[str] = NOBODY,
    now_us: int = NOW_US,
) -> list[CounterLeases]:
    found, after = list_leases(store, wanted, None, 100, watching, now_us)
    assert after is None
    return found


def lease_of(store: PlaneStore, who: str, key: CounterKey | None = None) -> StoredLease | None:
    with store.read() as transaction:
        return transaction.lease_of(key or key_of(), who)


def test_a_counters_account_adds_up(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(100), lease(50, BOB))
    count(store, ALICE, 40)
    count(store, CORRECTIONS, -10)
    hear(store, BOB, NOW_US - SILENT_US, "node-b")
    grant(store, lease(50, BOB, asked_us=NOW_US - SILENT_US))
    [counter] = listed(store)
    assert ("ever", 1_000, 30, 110, 50, 860, 0) == (
        counter.limit,
        counter.ceiling,
        counter.used,
        counter.outstanding,
        counter.burned,
        counter.available,
        counter.overcommitted,
    )
    assert counter.ceiling == counter.used + counter.outstanding + (counter.available or 0)
    assert [(ALICE, 60, 40, False), (BOB, 50, 0, True)] == [
        (
            holder.granted.lease.incarnation,
            holder.granted.outstanding,
            holder.granted.own,
            holder.is_silent,
        )
        for holder in counter.holders
    ]


def test_what_is_held_of_a_counter_of_before_is_a_part_of_the_account(store: PlaneStore) -> None:
    set_up(store, "acme")
    before = key_of(CounterRef("MONTH/1/CALENDAR||", (), TODAY))
    grant(store, lease(100), lease(50, BOB, key=before))
    count(store, BOB, 20, before)
    gone, counter = sorted(listed(store), key=lambda each: each.limit)
    assert ("", None, 30) == (gone.limit, gone.ceiling, gone.outstanding)
    assert (100, 30, 870) == (counter.outstanding, counter.outstanding_before, counter.available)


@pytest.mark.parametrize(
    ("asked_us", "heard_us", "watching", "is_silent"),
    [
        (NOW_US - SILENT_US + 1, None, NOBODY, False),
        (NOW_US - SILENT_US, None, NOBODY, True),
        (0, NOW_US - SILENT_US + 1, NOBODY, False),
        (0, NOW_US - SILENT_US, NOBODY, True),
        (0, None, frozenset({ALICE}), False),
    ],
)
def test_silent_is_who_neither_watches_nor_was_heard(
    store: PlaneStore,
    asked_us: int,
    heard_us: int | None,
    watching: frozenset[str],
    is_silent: bool,
) -> None:
    set_up(store, "acme")
    grant(store, lease(5, asked_us=asked_us))
    if heard_us is not None:
        hear(store, ALICE, heard_us)
    [counter] = listed(store, watching=watching)
    assert [is_silent] == [holder.is_silent for holder in counter.holders]


def test_a_limit_that_was_lowered_or_is_gone_is_overcommitted(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(990), lease(60, BOB))
    count(store, ALICE, 3)
    [counter] = listed(store)
    assert (-50, 50) == (counter.available, counter.overcommitted)
    unsold = key_of(name="nobody")
    grant(store, lease(7, key=unsold))
    _, gone = listed(store)
    assert ("", None, None, 7) == (gone.limit, gone.ceiling, gone.available, gone.overcommitted)


def test_counters_are_found_by_company_feature_holder_and_node(store: PlaneStore) -> None:
    set_up(store, "acme", "globex")
    hear(store, BOB, NOW_US, "node-b")
    other = key_of(name="globex")
    grant(store, lease(5), lease(6, BOB), lease(7, BOB, EVE), lease(8, key=other))
    grant(store, lease(0, CAROL, EVE))  # of which nothing is left

    def found(wanted: LeasesWanted) -> list[CounterKey]:
        return [counter.key for counter in listed(store, wanted)]

    assert [EVE, key_of(), other] == found(EVERYTHING)
    assert [other] == found(LeasesWanted(company="globex"))
    assert [] == found(LeasesWanted(feature="calls"))
    assert [EVE, key_of()] == found(LeasesWanted(incarnation=BOB))
    assert [EVE, key_of()] == found(LeasesWanted(node="node-b"))
    assert [] == found(LeasesWanted(incarnation=CAROL))
    assert [] == found(LeasesWanted(company="acme", node="node-c"))


def test_pages_show_each_counter_once(store: PlaneStore) -> None:
    set_up(store, "acme")
    keys = [key_of(per_user(f"user-{at}")) for at in range(7)]
    grant(store, *(lease(1, who, key) for key in keys for who in (ALICE, BOB)))
    found: list[CounterKey] = []
    after: LeasePlace | None = None
    while True:
        page, after = list_leases(store, EVERYTHING, after, 3, NOBODY, NOW_US)
        assert len(page) <= 3
        found += [counter.key for counter in page]
        if after is None:
            break
        assert behind(found[-1]) == after
    assert keys == found


def test_windows_that_are_over_are_shown_where_they_are_asked_for(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(5, key=EVE))
    assert [] == listed(store, now_us=TODAY.end_us)
    assert [EVE] == [
        counter.key for counter in listed(store, LeasesWanted(with_ended=True), now_us=TODAY.end_us)
    ]


LATER_US: Final = NOW_US + DAY_US
RELEASED_US: Final = LATER_US + heard_within_us(DAY_US)


def _settle(
    store: PlaneStore,
    settlement: Settlement,
    feature: str = "",
    now_us: int = LATER_US,
    *,
    dry_run: bool = False,
) -> Settled:
    wanted = LeasesWanted("acme", feature, ALICE)
    return settle(store, wanted, settlement, None, NOBODY, now_us, dry_run=dry_run)


@pytest.mark.parametrize(
    ("settlement", "used_after"), [(Settlement.RELEASED, 40), (Settlement.COUNTED, 100)]
)
def test_what_a_silent_holder_has_left_is_given_to_others_or_counted(
    store: PlaneStore, settlement: Settlement, used_after: int
) -> None:
    set_up(store, "acme")
    grant(store, lease(100), lease(50, BOB), lease(9, key=EVE))
    count(store, ALICE, 40)
    assert Settled(2, 69, None) == _settle(store, settlement, dry_run=True)
    assert 40 == used(store)
    assert Settled(0, 0, None) == _settle(store, settlement, "calls")
    assert Settled(2, 69, None) == _settle(store, settlement, "tokens")
    assert used_after == used(store)
    assert lease_of(store, ALICE) == replace(lease(40), released=True)
    assert lease_of(store, BOB) == lease(50, BOB)
    [counter] = listed(store, now_us=LATER_US)
    assert (50, 1_000 - used_after - 50) == (counter.outstanding, counter.available)
    assert Settled(0, 0, None) == _settle(store, settlement)
    count(store, ALICE, 60)  # it was spent all the same
    assert used_after + 60 == used(store)


def test_leases_of_who_is_there_are_not_settled(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(100))
    for dry_run in (True, False):
        with pytest.raises(FailedPrecondition) as refused:
            _settle(store, Settlement.RELEASED, now_us=NOW_US + 1, dry_run=dry_run)
        assert "HOLDER_PRESENT" == refused.value.reason
    assert lease(100) == lease_of(store, ALICE)


def test_leases_of_lifetime_limits_are_released_after_a_long_silence(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(100), lease(50, BOB), lease(30, CAROL), lease(9, key=EVE))
    count(store, ALICE, 40)
    hear(store, CAROL, RELEASED_US - DAY_US)
    looker = LeaseLooker(DAY_US)
    watching = frozenset({BOB})
    assert [] == looker.look(store, None, watching, RELEASED_US - 1).releases
    found = looker.look(store, None, watching, RELEASED_US).releases
    assert [(key_of(), ALICE)] == found
    count(store, ALICE, 10)  # what was told meanwhile counts
    assert 1 == release(store, found, watching, RELEASED_US, DAY_US)
    assert lease_of(store, ALICE) == replace(lease(50), released=True)
    assert 0 == release(store, found, watching, RELEASED_US, DAY_US)


def test_what_was_counted_for_certain_is_never_released_by_itself(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, left_behind(100, 60), left_behind(70, 70, BOB))
    count(store, ALICE, 40)
    looker = LeaseLooker(DAY_US)
    found = looker.look(store, None, NOBODY, RELEASED_US).releases
    assert [(key_of(), ALICE)] == found
    assert 1 == release(store, found, NOBODY, RELEASED_US, DAY_US)
    assert [] == looker.look(store, None, NOBODY, RELEASED_US).releases
    [counter] = listed(store, now_us=RELEASED_US)
    assert 20 + 70 == counter.outstanding
    count(store, ALICE, 20)  # it is sent in the end
    [counter] = listed(store, now_us=RELEASED_US)
    assert 70 == counter.outstanding


def test_by_hand_what_was_counted_for_certain_is_counted_as_used_once(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, left_behind(100, 60))
    found = LeaseLooker(DAY_US).look(store, None, NOBODY, RELEASED_US).releases
    assert 1 == release(store, found, NOBODY, RELEASED_US, DAY_US)
    assert Settled(1, 60, None) == _settle(store, Settlement.COUNTED, now_us=RELEASED_US)
    assert Settled(0, 0, None) == _settle(store, Settlement.COUNTED, now_us=RELEASED_US)
    assert 60 == used(store)
    assert [] == listed(store, now_us=RELEASED_US)


def test_who_comes_back_in_time_keeps_its_lease(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(100))
    found = LeaseLooker(DAY_US).look(store, None, NOBODY, RELEASED_US).releases
    assert 0 == release(store, found, frozenset({ALICE}), RELEASED_US, DAY_US)
    hear(store, ALICE, NOW_US + 1)
    assert 0 == release(store, found, NOBODY, RELEASED_US, DAY_US)
    assert lease(100) == lease_of(store, ALICE)


def test_holders_that_are_there_are_asked_for_what_is_overcommitted(store: PlaneStore) -> None:
    set_up(store, "acme")
    grant(store, lease(900), lease(200, BOB), lease(30, CAROL, asked_us=0), lease(90, key=EVE))
    look = LeaseLooker(DAY_US).look(store, None, NOBODY, NOW_US)
    assert [(ALICE, key_of()), (BOB, key_of())] == look.recalls
    sums = look.features["tokens"]
    assert (4, 1_220, 30, 1) == (sums.leases, sums.outstanding, sums.burned, sums.overcommitted)


def test_who_only_watches_is_known_to_have_been_heard(store: PlaneStore) -> None:
    hear(store, ALICE, NOW_US, "node-a")
    note_heard(store, [ALICE, BOB], NOW_US + 60, 60)
    note_heard(store, [ALICE], LATER_US, 60)
    with store.read() as transaction:
        assert transaction.incarnation(BOB) is None
        known = transaction.incarnation(ALICE)
    assert KnownIncarnation(ALICE, node="node-a", last_heard_us=LATER_US) == known


def test_leases_of_windows_that_are_long_over_are_forgotten(store: PlaneStore) -> None:
    grant(store, lease(5, key=EVE), lease(6))
    assert not forget_leases(store, TODAY.end_us + KEPT_US)
    assert lease_of(store, ALICE, EVE)
    forget_leases(store, TODAY.end_us + KEPT_US + 1)
    assert lease_of(store, ALICE, EVE) is None
    assert lease_of(store, ALICE)


def test_the_witness_forgets_who_holds_nothing_any_more(store: PlaneStore) -> None:
    grant(store, lease(5), lease(5, BOB))
    count(store, BOB, 5)
    old_us = NOW_US - KEPT_US - 1
    forever = WitnessedHolder(1, old_us, has_lifetime=True)
    holders = {
        ALICE: forever,
        BOB: forever,
        CAROL: WitnessedHolder(1, old_us),
        "00000000-0000-4000-8000-00000000000d": WitnessedHolder(1, NOW_US),
    }
    witness = MemoryWitness(Witnessed(1, NOW_US, holders))
    assert not forget_witnessed(store, witness, NOW_US)
    seen = witness.read()
    assert seen is not None
    assert [ALICE, "00000000-0000-4000-8000-00000000000d"] == list(seen.holders)
    assert not forget_witnessed(store, MemoryWitness(), NOW_US)
