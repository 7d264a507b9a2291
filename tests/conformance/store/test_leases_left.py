"""Leases that a store leaves, with its life or one by one: what it goes on to tell of them."""

from __future__ import annotations

import pytest

from sidecar.domain.leases.model import LeaseEntry, LeaseWish
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from tests.conformance.store.leasing import (
    END_US,
    ask,
    entries,
    grant,
    lease,
    named,
    result,
    take,
    users,
)
from tests.support.stores import OpenedStore


def test_fenced_records_are_counted_under_the_new_life_without_its_lease(
    opened: OpenedStore,
) -> None:
    grant(opened, 30)
    opened.count_each(5, 6)
    opened.outbox.begin_incarnation("life-2", "life-1", 1)
    while opened.outbox.move_fenced():
        pass
    assert (None, 11) == (lease(opened), opened.used())
    assert (0, 6) == ((asked := ask(opened, 9)).held, asked.used)


def lower_all(opened: OpenedStore) -> None:
    after = Leases(opened.store).lower(b"")
    while after:
        after = Leases(opened.store).lower(after)


def leave(opened: OpenedStore, common: int) -> None:
    """Go on under another life; the plane has all up to a sequence."""
    opened.outbox.begin_incarnation("life-2", "life-1", common)


def move_all(opened: OpenedStore) -> None:
    while opened.outbox.move_fenced():
        pass


def told(opened: OpenedStore) -> dict[str, tuple[int, int]]:
    """By life: what it is said to hold, and to have counted."""
    return {entry.incarnation: (entry.granted, entry.own) for entry in entries(opened)}


@pytest.mark.parametrize("killed", [False, True])
def test_what_is_sent_again_under_a_new_life_the_one_before_holds_no_more(
    opened: OpenedStore, killed: bool
) -> None:
    grant(opened, 30)
    opened.count_each(5, 6, 7)
    lower_all(opened)
    before = entries(opened)[0].number
    leave(opened, 1)
    if killed:
        opened.reopen()
    move_all(opened)
    if killed:
        opened.reopen()
    assert {"life-1": (5, 0), "life-2": (13, 13)} == told(opened)
    assert all(entry.number > before and not entry.waits for entry in entries(opened))
    assert (None, 18) == (lease(opened), opened.used())
    assert (13, 13) == ((asked := ask(opened, 9)).held, asked.used)
    assert all(asked.number > entry.number for entry in entries(opened)[:1])


def test_a_life_that_somebody_else_may_live_holds_what_it_held(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.count_each(5, 6, 7)
    leave(opened, 1)
    move_all(opened)
    assert {"life-1": (30, 0)} == told(opened)


def test_of_what_is_counted_behind_the_leaving_nothing_is_taken_off(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.count_each(5, 6)
    lower_all(opened)
    opened.count(40)  # reported usage needs no lease
    leave(opened, 1)
    move_all(opened)
    assert (5, 0) == told(opened)["life-1"]
    assert 46 == told(opened)["life-2"][1]


def test_a_life_that_goes_on_after_all_is_left_no_more(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.count(5)
    lower_all(opened)
    grant(opened, 20)
    opened.count(6)
    leave(opened, 0)
    move_all(opened)
    assert {"life-1": (20, 0)} == told(opened)


@pytest.mark.parametrize("waits", [False, True])
def test_a_store_that_leaves_its_life_tells_what_it_has_counted_and_holds_no_more(
    opened: OpenedStore, waits: bool
) -> None:
    grant(opened, 30)
    opened.count(5)
    if waits:
        ask(opened, 40)
    number = 2 + waits
    for _ in range(2):  # told again, after a kill in between
        lower_all(opened)
        assert lease(opened) is None
        told = LeaseEntry(named(), "life-1", 5, 5, number, END_US, counted=5)
        assert [told] == entries(opened)
        opened.reopen()
    assert 0 == take(opened, result(number - 1, 45))
    opened.outbox.begin_incarnation("life-2", "life-1", 1)
    assert 5 == opened.used()
    [entry] = entries(opened)
    assert ("life-1", 5, 5) == (entry.incarnation, entry.granted, entry.counted)
    assert number == entry.number
    assert number + 1 == ask(opened, 9).number


def test_all_is_lowered_page_by_page_and_of_this_life_alone(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.reopen(power_lost=True)
    refs = users(LEASES_AT_ONCE + 5)
    leases = Leases(opened.store)
    for some in (refs[:5], refs[5:]):
        asked = leases.request([LeaseWish(named(ref), 1, 9) for ref in some])
        answers = [(each.counter, result(each.number, 9), 9) for each in asked]
        assert len(some) == leases.take("life-2", answers)
    assert leases.lower(b"")
    lower_all(opened)
    assert not any(lease(opened, ref) for ref in refs)
    found, behind = leases.page(b"", LEASES_AT_ONCE)
    found += leases.page(behind, LEASES_AT_ONCE)[0]
    assert {("life-1", 30), ("life-2", 0)} == {(each.incarnation, each.granted) for each in found}
    assert len(refs) + 1 == len({entry.number for entry in found})


def test_all_lives_are_told_one_by_one_the_newest_first(opened: OpenedStore) -> None:
    leases = Leases(opened.store)
    assert leases.life_before(None) is None
    for life in (1, 2):
        for ref in users(LEASES_AT_ONCE + life):
            grant(opened, 20, ref)
        opened.reopen(power_lost=True)
    leases = Leases(opened.store)
    assert [2, 1, None] == [leases.life_before(life) for life in (None, 2, 1)]
    for life in (1, 2):
        found, behind = leases.page_of(life, b"")
        more, end = leases.page_of(life, behind)
        assert (LEASES_AT_ONCE, life, b"") == (len(found), len(more), end)
        assert {f"life-{life}"} == {entry.incarnation for entry in found + more}


@pytest.mark.parametrize("waits", [False, True])
def test_of_a_lease_that_is_dropped_what_was_counted_is_still_reported(
    opened: OpenedStore, waits: bool
) -> None:
    grant(opened, 30)
    opened.count(5)
    if waits:
        ask(opened, 40)
    for _ in range(2):
        Leases(opened.store).drop(named())
        assert lease(opened) is None
        assert [LeaseEntry(named(), "life-1", 5, 5, 1 + waits, 0)] == entries(opened)
    assert (2 + waits, 5, 5) == ((asked := ask(opened, 9)).number, asked.held, asked.used)


@pytest.mark.parametrize("counted", [False, True])
def test_of_a_lease_that_is_dropped_nothing_else_is_kept(
    opened: OpenedStore, counted: bool
) -> None:
    if counted:
        opened.count(5)
    ask(opened, 30)
    Leases(opened.store).drop(named())
    Leases(opened.store).drop(named(users(1)[0]))
    assert [] == entries(opened)
