"""Leases in a store: asked for, taken once, given back, and left behind with an incarnation."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sidecar.domain.leases.model import (
    Lease,
    LeaseEntry,
    LeaseRequest,
    LeaseStatus,
    LeaseWish,
)
from sidecar.storage import keys
from sidecar.storage.lease_numbers import INCARNATIONS_MAX
from sidecar.storage.leases import Leases
from sidecar.storage.sweep import COUNTER_KEPT_US, LIVES_REPORTED, Sweep
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
from tests.support.build import LIFETIME, counter_ref, limit, total
from tests.support.stores import MONTHLY, OpenedStore, counter_key_of


def test_a_lease_that_is_granted_is_there_with_its_counter(opened: OpenedStore) -> None:
    opened.count(5)
    assert LeaseRequest(named(), 1, 0, 5, 1, 40) == ask(opened, 40)
    assert 1 == take(opened, result(1, 45))
    expected = Lease(45, 35, END_US, 1_000)
    for _ in range(2):
        assert expected == lease(opened)
        assert [LeaseEntry(named(), "life-1", 45, 5, 1, END_US)] == entries(opened)
        opened.reopen()


def test_a_counter_that_nobody_counted_on_can_be_leased(opened: OpenedStore) -> None:
    (ann,) = users(1)
    grant(opened, 20, ann)
    counter = opened.counter(ann)
    assert counter is not None
    assert (0, ann.window.end_us, ann.values) == (
        counter.own,
        counter.window_end_us,
        counter.values,
    )
    assert Lease(20, 10, ann.window.end_us, 1_000) == counter.lease


def test_each_request_has_a_number_that_was_never_used(opened: OpenedStore) -> None:
    leases = Leases(opened.store)
    asked = leases.request([LeaseWish(named(ref), 1, 1) for ref in users(3)])
    assert [1, 2, 3] == [request.number for request in asked]
    assert [] == leases.request([])
    opened.reopen()
    assert 4 == ask(opened, 1).number
    opened.reopen(power_lost=True)
    assert 5 == ask(opened, 1).number


@pytest.mark.parametrize(
    "answers",
    [
        pytest.param([(2, 30), (1, 20)], id="late"),
        pytest.param([(1, 20), (2, 30)], id="in order"),
        pytest.param([(2, 30), (2, 30), (1, 20)], id="twice"),
        pytest.param([(3, 90), (2, 30)], id="of no request"),
    ],
)
def test_the_answer_to_the_last_request_alone_is_taken_and_once(
    opened: OpenedStore, answers: list[tuple[int, int]]
) -> None:
    ask(opened, 20)
    ask(opened, 30)
    taken = [take(opened, result(*answer)) for answer in answers]
    assert 1 == sum(taken)
    found = lease(opened)
    assert found is not None
    assert 30 == found.granted


def test_an_answer_does_not_come_back_to_life(opened: OpenedStore) -> None:
    grant(opened, 30)
    ask(opened, 0)
    assert 1 == take(opened, result(2, 0))
    for number in (1, 2):
        assert 0 == take(opened, result(number, 30))
    assert lease(opened) is None


def test_asking_for_more_leaves_what_is_held(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.count(25)
    assert LeaseRequest(named(), 2, 30, 25, 1, 50) == ask(opened, 50)
    found = lease(opened)
    assert found is not None
    assert 30 == found.granted
    take(opened, result(2, 75))
    found = lease(opened)
    assert found is not None
    assert 75 == found.granted


@pytest.mark.parametrize(("want", "gives_back"), [(0, False), (0, True), (50, True)])
def test_what_is_given_back_is_lowered_before_anybody_is_told(
    opened: OpenedStore, want: int, gives_back: bool
) -> None:
    grant(opened, 30)
    opened.count(12)
    asked = ask(opened, want, gives_back=gives_back)
    assert (12, 12, want) == (asked.held, asked.used, asked.want)
    for _ in range(2):
        assert lease(opened) is None
        assert [12] == [entry.granted for entry in entries(opened)]
        opened.reopen()
    assert (12, 12) == ((again := ask(opened, 50)).held, again.used)


def test_of_a_lease_that_usage_has_passed_nothing_more_is_held_than_was_granted(
    opened: OpenedStore,
) -> None:
    grant(opened, 30)
    opened.count(45)
    assert (30, 45) == ((asked := ask(opened, 0)).held, asked.used)
    assert [(30, 45)] == [(entry.granted, entry.own) for entry in entries(opened)]


@pytest.mark.parametrize(
    ("status", "granted", "held"),
    [
        (LeaseStatus.EXHAUSTED, 30, 30),
        (LeaseStatus.RECALLING, 30, 30),
        (LeaseStatus.BEHIND, 20, 20),
        (LeaseStatus.RECOVERING, 30, 30),
        (LeaseStatus.REFUSED, 30, None),
        (LeaseStatus.SUPERSEDED, 30, None),
        (LeaseStatus.GONE, 30, None),
    ],
)
def test_whatever_becomes_of_a_request_what_is_granted_holds_but_where_it_is_refused(
    opened: OpenedStore, status: LeaseStatus, granted: int, held: int | None
) -> None:
    grant(opened, 30)
    opened.count(5)
    ask(opened, 50)
    assert 1 == take(opened, result(2, granted, status))
    found = lease(opened)
    assert held == (None if found is None else found.granted)
    assert (held or 5) == ask(opened, 50).held
    assert 5 == opened.used()


@pytest.mark.parametrize("granted", [56, 1 << 62, -1])
def test_a_grant_of_more_than_was_asked_for_moves_nothing(
    opened: OpenedStore, granted: int
) -> None:
    grant(opened, 30)
    opened.count(5)
    leases = Leases(opened.store)
    leases.request([LeaseWish(named(), 1, 50)])
    answers = [(named(), result(2, granted), granted)]
    assert [0, 0] == [leases.take("life-1", answers) for _ in range(2)]
    assert 30 == ask(opened, 50).held


def test_what_is_counted_and_heard_leaves_the_lease(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.count(5)
    heard = total(MONTHLY, 90, 2, 3, corrections=-1)
    opened.counters.hear("life-1", [replace(heard, carried=(4,))])
    found = lease(opened)
    assert found is not None
    assert (30, 93) == (found.granted, opened.used())


def test_a_new_life_has_no_lease_and_still_says_what_the_one_before_held(
    opened: OpenedStore,
) -> None:
    grant(opened, 30)
    opened.count(5)
    ask(opened, 40)
    opened.reopen(power_lost=True)
    assert lease(opened) is None
    waiting = LeaseEntry(named(), "life-1", 30, 5, 2, END_US, waits=True, granted_max=45)
    assert [waiting] == entries(opened)
    for life in ("life-1", "life-2"):
        assert 0 == take(opened, result(2, 45), life=life)
    asked = ask(opened, 20)
    assert (3, 0, 0) == (asked.number, asked.held, asked.used)
    take(opened, result(3, 20), life="life-2")
    opened.count(7)
    assert [("life-1", 30), ("life-2", 20)] == [
        (entry.incarnation, entry.granted) for entry in entries(opened)
    ]


def test_it_is_known_how_far_each_life_has_asked_also_where_nothing_is_left_of_that(
    opened: OpenedStore,
) -> None:
    leases = Leases(opened.store)
    assert {} == leases.numbers()
    grant(opened, 30)
    ask(opened, 0)
    take(opened, result(2, 0))
    assert [] == entries(opened)
    opened.reopen(power_lost=True)
    leases = Leases(opened.store)
    assert {"life-1": 2} == leases.numbers()
    ask(opened, 20)
    assert {"life-1": 2, "life-2": 3} == leases.numbers()
    for life in range(3, INCARNATIONS_MAX + 2):
        opened.reopen(power_lost=True)
        ask(opened, 20)
        assert f"life-{life}" in Leases(opened.store).numbers()
    numbers = Leases(opened.store).numbers()
    assert INCARNATIONS_MAX == len(numbers)
    assert "life-1" not in numbers


def test_nothing_is_kept_of_a_lease_of_which_nothing_was_granted_or_used(
    opened: OpenedStore,
) -> None:
    ask(opened, 30)
    assert 1 == take(opened, result(1, 0, LeaseStatus.EXHAUSTED))
    assert (None, []) == (opened.counter(), entries(opened))


@pytest.mark.parametrize("most", [1, 7, 1_000])
def test_all_is_listed_page_by_page(opened: OpenedStore, most: int) -> None:
    refs = users(20)
    for ref in refs:
        grant(opened, 20, ref)
    leases, behind, found = Leases(opened.store), b"", []
    for _ in range(len(refs) // most + 1):
        page, behind = leases.page(behind, most)
        assert len(page) <= most
        found += page
        if not behind:
            break
    assert behind == b""
    assert {named(ref) for ref in refs} == {entry.counter for entry in found}
    assert len(refs) == len(found)


def sweep(opened: OpenedStore, now_us: int) -> None:
    walk = Sweep(opened.store)
    while not walk.step(now_us, 3)[1]:
        pass


def test_leases_are_forgotten_with_their_counters(opened: OpenedStore) -> None:
    grant(opened, 30)
    opened.reopen(power_lost=True)
    sweep(opened, END_US + COUNTER_KEPT_US)
    assert 1 == len(entries(opened))
    sweep(opened, END_US + COUNTER_KEPT_US + 1)
    assert ([], None) == (entries(opened), opened.counter())


def test_leases_in_windows_without_end_are_forgotten_with_incarnations_long_gone(
    opened: OpenedStore,
) -> None:
    forever = counter_ref(limit(window=LIFETIME))
    grant(opened, 30, forever)
    for _ in range(LIVES_REPORTED):
        opened.reopen(power_lost=True)
    sweep(opened, END_US)
    assert ["life-1"] == [entry.incarnation for entry in entries(opened)]
    opened.reopen(power_lost=True)
    sweep(opened, END_US)
    assert [] == entries(opened)


def test_a_lease_has_the_key_of_its_counter_and_incarnation(opened: OpenedStore) -> None:
    grant(opened, 30)
    key = keys.lease_key(1, counter_key_of(MONTHLY))
    assert [key] == [key for key, _ in opened.pairs(keys.LEASES, keys.after(keys.LEASES))]
    assert (1, counter_key_of(MONTHLY)) == (keys.ordinal_of_lease(key), keys.counter_of_lease(key))
