"""What every database behind the control plane has to do about leases."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.control.storage.lease_values import (
    GrantedLease,
    LeaseFilter,
    LeaseLook,
    LeasePlace,
    LeasesElsewhere,
    StoredLease,
)
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey, KnownIncarnation
from sidecar.domain.bounds import FOREVER_US, INT64_MAX
from sidecar.domain.capabilities import Capability
from sidecar.domain.leases.account import LeaseAccount
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.windows import Window
from tests.unit.control.support import ALICE, BOB, CAROL, NOW_US, TODAY, key_of, per_user

LOOK = LeaseLook(ALICE, active_since_us=NOW_US - 60, heard_since_us=NOW_US - 100)


def _lease(
    granted: int, incarnation: str = ALICE, key: CounterKey | None = None, asked_us: int = NOW_US
) -> StoredLease:
    return StoredLease(
        key or key_of(), incarnation, granted, 1, FOREVER_US, 1_000, asked_us, NOW_US
    )


def _put(store: PlaneStore, *leases: StoredLease) -> None:
    with store.write() as transaction:
        transaction.put_leases(leases)


def _count(store: PlaneStore, incarnation: str, amount: int) -> None:
    with store.write() as transaction:
        version = transaction.next_ledger_version(NOW_US)
        transaction.add_to_counters(incarnation, {key_of(): amount}, version)


def _account(store: PlaneStore, look: LeaseLook = LOOK) -> LeaseAccount:
    with store.read() as transaction:
        return transaction.lease_account(key_of(), look)


def _all(store: PlaneStore, wanted: LeaseFilter, size: int) -> list[GrantedLease]:
    found: list[GrantedLease] = []
    after: LeasePlace | None = None
    with store.read() as transaction:
        while page := transaction.leases_after(wanted, after, size):
            assert len(page) <= size
            found += page
            after = LeasePlace(page[-1].lease.key, page[-1].lease.incarnation)
    return found


def test_a_counter_of_which_nothing_is_known_has_an_empty_account(store: PlaneStore) -> None:
    assert LeaseAccount() == _account(store)
    with store.read() as transaction:
        assert transaction.lease_of(key_of(), ALICE) is None
        assert [] == transaction.granted_leases(key_of(), 10)
        assert [] == transaction.leases_after(LeaseFilter(), None, 10)


def test_known_are_counters_with_usage_or_with_a_lease(store: PlaneStore) -> None:
    odd = ("ann", "ü", '"', "\\", "$[0]", "\U0001f600", "a,b")
    counted, leased = (
        [key_of(per_user(f"{kind} {name}")) for name in odd] for kind in ("counted", "leased")
    )
    others = [key_of(per_user(name), company) for name in odd for company in ("acme", "é")]
    with store.write() as transaction:
        version = transaction.next_ledger_version(NOW_US)
        transaction.add_to_counters(BOB, dict.fromkeys([key_of(), *counted], 0), version)
    _put(store, *(_lease(0, BOB, key) for key in leased))
    with store.read() as transaction:
        assert set() == transaction.known_counters([]) == transaction.known_counters(others)
        known = [key_of(), *counted, *leased]
        assert set(known) == transaction.known_counters([*others, *known])
        assert all(transaction.lease_account(key, LOOK) == LeaseAccount() for key in others)


def test_a_lease_is_kept_as_it_was_put_last(store: PlaneStore) -> None:
    _put(store, _lease(10), _lease(20, BOB))
    changed = replace(_lease(30), number=7, amount=INT64_MAX, released=True)
    _put(store, changed)
    with store.read() as transaction:
        assert changed == transaction.lease_of(key_of(), ALICE)
        assert _lease(20, BOB) == transaction.lease_of(key_of(), BOB)
        assert transaction.lease_of(key_of(), CAROL) is None
        assert transaction.lease_of(key_of(per_user("eve")), ALICE) is None


def test_records_settle_leases_by_being_counted(store: PlaneStore) -> None:
    _put(store, _lease(100), _lease(50, BOB), _lease(7, CAROL))
    for incarnation, amount in ((ALICE, 30), (BOB, 20), (CAROL, 9), (CORRECTIONS, -5)):
        _count(store, incarnation, amount)
    account = _account(store)
    assert (54, 30, 100, 1) == (account.used, account.own, account.granted, account.number)
    assert 30 == account.outstanding_of_others  # of Bob; Carol has counted past hers
    assert 70 == _account(store, replace(LOOK, incarnation=BOB)).outstanding_of_others


def test_what_was_released_is_not_outstanding(store: PlaneStore) -> None:
    _put(store, replace(_lease(100, BOB), released=True), _lease(5, CAROL))
    assert 5 == _account(store).outstanding_of_others
    assert _account(store, replace(LOOK, incarnation=BOB)).released


def test_those_who_asked_lately_are_active_but_for_who_asks(store: PlaneStore) -> None:
    since_us = LOOK.active_since_us
    _put(store, _lease(1), _lease(1, BOB, asked_us=since_us + 1), _lease(1, CAROL, None, since_us))
    assert 1 == _account(store).active_others
    assert 2 == _account(store, replace(LOOK, incarnation=CAROL)).active_others


def test_quantities_near_what_an_integer_holds_add_up_exactly(store: PlaneStore) -> None:
    _put(store, _lease(INT64_MAX, BOB), _lease(INT64_MAX, CAROL))
    _count(store, CAROL, 1)
    assert 2 * INT64_MAX - 1 == _account(store).outstanding_of_others


def test_who_counts_without_leases_is_known_while_it_is_heard_of(store: PlaneStore) -> None:
    knows = frozenset({Capability.LEASES})

    def hear(incarnation: str, heard_us: int, capabilities: frozenset[Capability]) -> bool:
        with store.write() as transaction:
            known = KnownIncarnation(incarnation, last_heard_us=heard_us, capabilities=capabilities)
            transaction.put_incarnation(known)
            assert known == transaction.incarnation(incarnation)
        return _account(store).all_know_leases

    _count(store, BOB, 1)
    assert hear(BOB, NOW_US, knows | {Capability.RATE_SHARES})
    assert not hear(BOB, NOW_US, frozenset({Capability.RATE_SHARES}))
    assert not hear(BOB, LOOK.heard_since_us + 1, frozenset())
    assert hear(BOB, LOOK.heard_since_us, frozenset())
    assert hear(CAROL, NOW_US, frozenset())  # it counts on no such counter


def test_holders_come_by_how_much_they_have_outstanding(store: PlaneStore) -> None:
    _put(store, _lease(10), _lease(100, BOB), _lease(30, CAROL))
    _count(store, BOB, 80)
    _count(store, ALICE, 10)
    with store.read() as transaction:
        granted = transaction.granted_leases(key_of(), 10)
        assert [(CAROL, 30, 0), (BOB, 20, 80)] == [
            (held.lease.incarnation, held.outstanding, held.own) for held in granted
        ]
        assert granted[:1] == transaction.granted_leases(key_of(), 1)


def test_leases_are_listed_in_pages_by_company_and_by_holder(store: PlaneStore) -> None:
    keys = [key_of(), key_of(per_user("ann")), key_of(per_user("eve")), key_of(name="globex")]
    leases = [_lease(at, who, key) for at, key in enumerate(keys) for who in (ALICE, BOB)]
    _put(store, *leases)
    _count(store, BOB, 3)
    for size in (1, 3, 10):
        found = _all(store, LeaseFilter(), size)
        assert sorted(leases, key=repr) == sorted((held.lease for held in found), key=repr)
        assert [3] == [held.own for held in found if held.own]
        of_acme = _all(store, LeaseFilter("acme"), size)
        assert [held for held in found if held.lease.key.company == "acme"] == of_acme
        of_bob = _all(store, LeaseFilter(incarnation=BOB), size)
        assert [held for held in found if held.lease.incarnation == BOB] == of_bob
        both = _all(store, LeaseFilter("acme", BOB), size)
        assert [held for held in of_bob if held.lease.key.company == "acme"] == both


def test_leases_of_ended_windows_are_forgotten_a_few_at_a_time(store: PlaneStore) -> None:
    users = [key_of(per_user(name)) for name in ("ann", "ben", "eve")]
    _put(store, *(_lease(1, key=key) for key in users), _lease(2))
    with store.write() as transaction:
        assert 0 == transaction.drop_ended_leases(TODAY.end_us, 10)
        assert 2 == transaction.drop_ended_leases(TODAY.end_us + 1, 2)
        assert 1 == transaction.drop_ended_leases(TODAY.end_us + 1, 2)
    assert [_lease(2)] == [held.lease for held in _all(store, LeaseFilter(), 10)]


def test_leases_that_are_named_are_forgotten_and_no_others(store: PlaneStore) -> None:
    eve = key_of(per_user("eve"))
    _put(store, _lease(1), _lease(2, BOB), _lease(3, key=eve))
    with store.write() as transaction:
        transaction.drop_leases([_lease(9), _lease(1, BOB, eve)])
    assert [3, 2] == [held.lease.granted for held in _all(store, LeaseFilter(), 10)]


def test_the_revision_of_leases_grows_by_one_and_only_by_itself(store: PlaneStore) -> None:
    with store.write() as transaction:
        revision = transaction.state().revision
        assert 0 == transaction.lease_revision()
        assert [1, 2] == [transaction.next_lease_revision() for _ in range(2)]
        assert revision == transaction.state().revision
    with store.read() as transaction:
        assert 2 == transaction.lease_revision()


def test_leases_of_windows_before_are_those_without_values_that_ended_or_were_asked_about_lately(
    store: PlaneStore,
) -> None:
    def key_in(start_us: int, end_us: int, feature: str = "tokens", value: str = "") -> CounterKey:
        values = (value,) if value else ()
        counter = CounterRef("DAY/1/CALENDAR||", values, Window(start_us, end_us))
        return CounterKey("acme", feature, counter)

    now, before, long_before = key_in(20, 30), key_in(10, 20), key_in(0, 10)
    _put(
        store,
        _lease(3, key=before),
        _lease(5, BOB, before),
        _lease(7, key=now),
        _lease(0, CAROL, before),
        _lease(6, key=long_before),
        _lease(9, BOB, long_before, asked_us=9),
        _lease(9, CAROL, key_in(-10, 0), asked_us=10),
        *(_lease(9, key=other) for other in (key_in(21, 31), key_in(10, 20, "x"))),
        _lease(9, key=key_in(10, 20, value="v")),
    )
    with store.read() as transaction:
        found = transaction.leases_before(now, 10, 9)
        assert [7, 6, 5, 3] == [held.outstanding for held in found]
        assert found[:1] == transaction.leases_before(now, 10, 1)


def test_slots_with_leases_are_told_once_each(store: PlaneStore) -> None:
    def key_in(slot: str, feature: str = "tokens", name: str = "acme") -> CounterKey:
        return CounterKey(name, feature, CounterRef(slot, (), TODAY))

    others = (key_in("DAY||", "calls"), key_in("YEAR||", "tokens2"), key_in("WEEK||", name="b"))
    keys = (*(key_in(slot) for slot in ("MONTH||", "DAY||", "LIFETIME||")), *others)
    _put(store, *(_lease(0, who, key) for who in (ALICE, BOB) for key in keys))
    with store.read() as transaction:
        assert ["DAY||", "LIFETIME||", "MONTH||"] == transaction.leased_slots("acme", "tokens")
        assert [] == transaction.leased_slots("acme", "gone")


def test_leases_elsewhere_are_those_of_a_slot_whose_windows_overlap(store: PlaneStore) -> None:
    def key_in(start_us: int, end_us: int, user: str = "a", slot: str = "DAY|user|") -> CounterKey:
        return CounterKey("acme", "tokens", CounterRef(slot, (user,), Window(start_us, end_us)))

    def elsewhere(slot: str = "DAY|user|", values: tuple[str, ...] | None = ("a",)) -> set[int]:
        wanted = LeasesElsewhere(own, slot, values, begins_us=20, ended_since_us=22)
        with store.read() as transaction:
            held = transaction.leases_elsewhere(wanted, 100)
            assert len(transaction.leases_elsewhere(wanted, 1)) == min(1, len(held))
            outstanding, gone_through = transaction.outstanding_elsewhere(wanted)
        assert outstanding == sum(each.outstanding for each in held)
        assert gone_through >= len(held)
        return {each.lease.granted for each in held}

    own = key_in(20, 40)
    _put(
        store,
        _lease(1, key=own),
        _lease(2, key=key_in(30, 50)),
        _lease(4, BOB, key_in(10, 23)),
        _lease(8, CAROL, key_in(10, 22)),
        _lease(16, key=key_in(40, 60)),
        _lease(32, key=key_in(20, 41, "b")),
        _lease(64, key=key_in(20, 40, slot="MONTH|user|")),
        replace(_lease(128, BOB, key_in(30, 50)), released=True),
        _lease(INT64_MAX, CAROL, key_in(19, 41, "c", "MONTH|user|")),
        _lease(INT64_MAX - 1, BOB, key_in(19, 41, "c", "MONTH|user|")),
    )
    with store.read() as transaction:
        windows = transaction.leased_windows("acme", "tokens", "DAY|user|", 22, 4)
        assert [(10, 23), (20, 40), (20, 41), (30, 50)] == [
            (window.start_us, window.end_us) for window in windows
        ]
    assert {2, 4} == elsewhere()
    assert {2, 4, 32} == elsewhere(values=None)
    assert {64} == elsewhere("MONTH|user|")
    assert {64, INT64_MAX, INT64_MAX - 1} == elsewhere("MONTH|user|", None)
    assert set() == elsewhere("YEAR|user|", None)
