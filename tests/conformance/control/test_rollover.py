"""What every database behind the control plane has to do for rollover."""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import (
    CORRECTIONS,
    CounterKey,
    RolloverTerms,
    RolloverWalk,
    RolloverWindow,
    StoredCompany,
)
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Rollover
from sidecar.domain.company.model import Company, Override
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.time.units import MINUTE_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.unit.control.support import ALICE, company

SLOT: Final = "HOUR/1/CALENDAR||"
TERMS: Final = RolloverTerms(100, Rollover(3, 50, None))
SPAN_US: Final = 10 * MINUTE_US


def _key(number: int, slot: str = SLOT, name: str = "acme") -> CounterKey:
    window = Window(number * SPAN_US, (number + 1) * SPAN_US)
    return CounterKey(name, "tokens", CounterRef(slot, (), window))


def _put(store: PlaneStore, *windows: RolloverWindow, version: int = 1) -> None:
    with store.write() as transaction:
        transaction.put_rollover_windows(windows, version)


def test_a_window_comes_back_as_it_was_put(store: PlaneStore) -> None:
    windows = [
        RolloverWindow(_key(1), 0, (), due_us=7),
        RolloverWindow(_key(2), 0, (4, 0, 2), TERMS, settled=True),
        RolloverWindow(_key(3), 0, (4,), replace(TERMS, rollover=Rollover()), due_us=8),
        RolloverWindow(_key(5), 0, (4,), replace(TERMS, packs=50), due_us=8, packs_used=9),
        RolloverWindow(_key(6), 0, (), RolloverTerms(None, None, packs=50), packs_used=50),
    ]
    _put(store, *windows)
    with store.read() as transaction:
        assert windows == [transaction.rollover_window(window.key) for window in windows]
        assert None is transaction.rollover_window(_key(4))


def test_usage_and_what_is_carried_leave_each_other_alone(store: PlaneStore) -> None:
    window = RolloverWindow(_key(1), 0, (5,), due_us=7, packs_used=9)
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {_key(1): 3}, 10)
        transaction.put_rollover_windows([window], 11)
        transaction.add_to_counters(ALICE, {_key(1): 4}, 12)
        assert replace(window, total=7) == transaction.rollover_window(_key(1))
        (total,) = transaction.totals([_key(1)], ALICE)
        (state,) = transaction.counters([_key(1)])
    assert (7, 7, 12) == (total.total, total.own, total.version)
    assert (7, 12, {ALICE: 7}) == (state.total, state.version, state.parts)
    assert ((5,), 9) == (total.carried, total.packs_used) == (state.carried, state.packs_used)


def test_a_counter_is_newer_only_where_other_amounts_are_carried(store: PlaneStore) -> None:
    window = RolloverWindow(_key(1), 0, (5,), due_us=7)
    versions = []
    for version, put in enumerate(
        [
            window,
            replace(window, terms=TERMS),
            replace(window, carried=(6,)),
            replace(window, carried=(6,), packs_used=1),
        ],
        1,
    ):
        _put(store, put, version=version)
        with store.read() as transaction:
            (total,) = transaction.totals([_key(1)], ALICE)
        versions.append(total.version)
    assert [1, 1, 3, 4] == versions


def test_counters_that_do_not_carry_say_so(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(CORRECTIONS, {_key(1): 3}, 10)
        totals = transaction.totals([_key(1), _key(2)], ALICE)
        assert None is transaction.rollover_window(_key(1))
        assert [] == transaction.rollover_windows_after(_key(1), 0, 10)
    assert [None, None] == [total.carried for total in totals]


def test_a_window_that_is_dropped_keeps_its_usage(store: PlaneStore) -> None:
    with store.write() as transaction:
        transaction.add_to_counters(ALICE, {_key(1): 3}, 10)
        transaction.put_rollover_windows([RolloverWindow(_key(1), 0, (5,), TERMS, True, 7)], 11)
        transaction.drop_rollover_window(_key(1), 12)
        transaction.drop_rollover_window(_key(2), 13)
        (total,) = transaction.totals([_key(1)], ALICE)
        assert None is transaction.rollover_window(_key(1))
        assert [] == transaction.rollover_windows_due(100, 10)
    assert (3, 12, None) == (total.total, total.version, total.carried)


def test_windows_of_one_row_come_in_their_order(store: PlaneStore) -> None:
    others = [_key(2, slot="DAY/1/CALENDAR||"), _key(2, name="other")]
    rows = [*map(_key, (3, 1, 2)), *others]
    _put(store, *(RolloverWindow(key, 0, ()) for key in rows))
    with store.read() as transaction:
        after = transaction.rollover_windows_after(_key(1), 2 * SPAN_US, 10)
        first = transaction.rollover_windows_after(_key(1), 0, 1)
    assert [_key(2), _key(3)] == [window.key for window in after]
    assert [_key(1)] == [window.key for window in first]


def test_what_is_due_comes_longest_overdue_first(store: PlaneStore) -> None:
    due = {1: 30, 2: 10, 3: 20, 4: 31, 5: None}
    _put(store, *(RolloverWindow(_key(at), 0, (), due_us=due_us) for at, due_us in due.items()))
    with store.read() as transaction:
        assert [_key(2), _key(3), _key(1)] == transaction.rollover_windows_due(30, 10)
        assert [_key(2)] == transaction.rollover_windows_due(30, 1)
        assert [] == transaction.rollover_windows_due(9, 10)


def test_the_walk_is_remembered(store: PlaneStore) -> None:
    with store.read() as transaction:
        assert RolloverWalk() == transaction.rollover_walk()
    walks = [RolloverWalk(3, "acme", 5, "x"), RolloverWalk(4, "", 6, "y")]
    for walk in walks:
        with store.write() as transaction:
            transaction.put_rollover_walk(walk)
            assert walk == transaction.rollover_walk()


def test_candidates_come_in_the_order_of_their_changes(store: PlaneStore) -> None:
    rolling = Limit("m", WindowSpec(WindowUnit.MONTH), 5, rollover=Rollover())
    override = Override(EntitlementGrant("tokens", limits=(rolling,)))
    own = Company("own", overrides=(override,))
    puts = [(company("b"), 1), (own, 1), (company("a"), 2), (company("gone"), 2)]
    with store.write() as transaction:
        transaction.put_companies(
            StoredCompany(put, compile_snapshot(put, revision)) for put, revision in puts
        )
        transaction.remove_companies(["gone"], 3)

        def found(walk: RolloverWalk, limit: int = 10, by: bool = False) -> list[tuple[int, str]]:
            return transaction.rollover_candidates(walk, limit, by_overrides=by)

        everyone = [(1, "b"), (1, "own"), (2, "a")]
        assert everyone == found(RolloverWalk())
        assert everyone[:2] == found(RolloverWalk(), limit=2)
        assert everyone[1:] == found(RolloverWalk(1, "b"))
        assert everyone[2:] == found(RolloverWalk(2, ""))
        assert [(1, "own")] == found(RolloverWalk(), by=True)
        assert [] == found(RolloverWalk(1, "own"), by=True)
