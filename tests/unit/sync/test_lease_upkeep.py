"""What the lease machine gives back, and what it asks for ahead, by outcome."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from msgspec.structs import replace

from sidecar.domain.credits.source_slots import grant_slot
from sidecar.domain.leases.model import (
    LeaseEntry,
    LeaseStatus,
    LeaseWish,
)
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Window
from sidecar.sync.machine.held_leases import LeasePace
from sidecar.sync.machine.lease_actions import (
    Rest,
)
from tests.support.build import NOW_US
from tests.support.lease_machine import DAY, GATHERED_US, A, MachineBench, named


def test_a_recall_is_obeyed_for_all_that_is_left() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.machine.give_back(bench.now_us, [A])
    assert [LeaseWish(A, gives_back=True)] == list(bench.gathered().wishes)


def test_a_recall_while_the_counter_is_asked_about_comes_next() -> None:
    bench = MachineBench()
    bench.need(1)
    ask = bench.ask()
    bench.machine.give_back(bench.now_us, [A])
    bench.answer(ask, LeaseStatus.GRANTED, 8)
    assert [LeaseWish(A, gives_back=True)] == list(bench.gathered().wishes)


def test_a_refill_does_not_undo_a_recall() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.machine.give_back(bench.now_us, [A])
    bench.machine.due(bench.now_us, [A])
    assert [LeaseWish(A, gives_back=True)] == list(bench.gathered().wishes)


def test_a_call_that_waits_for_what_is_recalled_is_asked_for_in_the_same_request() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.used[A] = 8
    bench.look(bench.entry())
    bench.machine.give_back(bench.now_us, [A])
    bench.need(2)
    assert [(2, True)] == [(wish.need, wish.gives_back) for wish in bench.ask().wishes]
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)


def test_a_lease_that_seems_to_do_and_does_not_is_given_back_and_asked_for_anew() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.need(2)
    assert [(2, True)] == [(wish.need, wish.gives_back) for wish in bench.ask().wishes]


def test_of_a_lease_that_is_spent_nothing_is_given_back() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.used[A] = 7
    bench.look(bench.entry())
    bench.need(2)
    assert [(2, False)] == [(wish.need, wish.gives_back) for wish in bench.ask().wishes]


def past(bench: MachineBench) -> LeaseEntry:
    return bench.entry(valid_until_us=NOW_US)


def idle(bench: MachineBench) -> LeaseEntry:
    bench.now_us += LeasePace().idle_us
    return bench.entry()


@pytest.mark.parametrize(
    ("found", "asks_anew"),
    [
        pytest.param(past, True, id="the limit changes: what is in use is asked for anew"),
        pytest.param(idle, False, id="idle"),
    ],
)
def test_a_look_finds_what_is_to_be_given_back(
    found: Callable[[MachineBench], LeaseEntry], asks_anew: bool
) -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.look(found(bench))
    wish = bench.gathered().wishes[0]
    assert (A, 0, True) == (wish.counter, wish.need, wish.gives_back)
    assert asks_anew == (wish.want > 0)


def test_what_is_used_is_kept() -> None:
    bench = MachineBench()
    bench.grant(1_000)
    for used in range(1, 10):
        bench.now_us += LeasePace().idle_us // 2
        bench.used[A] = used
        assert [] == bench.look(bench.entry())
    assert isinstance(bench.next(), Rest)


def test_of_too_many_those_used_last_stay() -> None:
    bench = MachineBench(LeasePace(leases_max=2))
    for number in (1, 2, 3):
        bench.grant(8, named(number))
    bench.used[named(1)] = 2
    bench.look(bench.entry(named(1)))
    assert [LeaseWish(named(2), gives_back=True)] == list(bench.gathered().wishes)
    assert 2 == len(bench.machine.held)


def test_the_next_windows_lease_is_asked_for_before_it_opens_where_this_one_is_in_use() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.used[A] = 4
    assert [] == bench.look(bench.entry(), at_us=DAY.end_us - 61 * SECOND_US)
    assert [A] == bench.look(bench.entry(), at_us=DAY.end_us - 59 * SECOND_US)
    following = named(1, Window(DAY.end_us, DAY.end_us + DAY_US))
    bench.machine.opens_soon(bench.now_us, following, A)
    wish = bench.gathered().wishes[0]
    assert (following, 0) == (wish.counter, wish.need)
    assert wish.want > 0
    assert [] == bench.look(bench.entry(), at_us=DAY.end_us - 58 * SECOND_US)


def test_what_was_not_used_in_this_window_is_not_asked_for_in_the_next() -> None:
    bench = MachineBench()
    bench.grant(8)
    assert [] == bench.look(bench.entry(), at_us=DAY.end_us - SECOND_US)


def test_a_lease_of_a_window_that_has_not_begun_is_not_idle() -> None:
    bench = MachineBench()
    following = named(1, Window(DAY.end_us, DAY.end_us + DAY_US))
    bench.grant(8, following)
    bench.now_us += 2 * LeasePace().idle_us
    assert [] == bench.look(bench.entry(following))
    assert isinstance(bench.next(), Rest)


@pytest.mark.parametrize("restarted", [False, True])
def test_where_an_answer_was_lost_the_plane_is_told_what_is_held(restarted: bool) -> None:
    bench = MachineBench()
    bench.need(1)
    ask = bench.ask()
    bench.numbered(ask)
    entry = replace(bench.entry(), waits=True)
    bench.look(entry)
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)  # its answer may come
    bench.machine.failed(bench.now_us, ask)
    if restarted:
        bench = MachineBench()
    bench.now_us += SECOND_US
    bench.look(entry)
    wish = bench.gathered().wishes[0]
    assert (A, 0, restarted) == (wish.counter, wish.need, wish.gives_back)


def test_what_was_answered_is_not_told_again() -> None:
    bench = MachineBench()
    bench.need(1)
    bench.answer(bench.ask(), LeaseStatus.EXHAUSTED)
    bench.look(replace(bench.entry(), waits=True))
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)


def test_what_a_grant_of_credits_had_left_at_its_expiry_is_given_back() -> None:
    bench = MachineBench()
    grant = CounterName("acme", "credits", CounterRef(grant_slot("welcome"), (), DAY))
    bench.grant(8, grant)
    assert [] == bench.look(bench.entry(grant), at_us=DAY.end_us)
    assert [LeaseWish(grant, gives_back=True)] == list(bench.gathered().wishes)


def test_of_a_limits_window_that_is_over_nothing_is_given_back_unless_it_is_carried_on() -> None:
    bench = MachineBench()
    bench.grant(8)
    looked = bench.machine.looked(bench.now_us, DAY.end_us, [bench.entry()])
    assert ([], [], [A]) == looked
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)
    bench.machine.give_back(bench.now_us, [A])
    assert [LeaseWish(A, gives_back=True)] == list(bench.gathered().wishes)


def test_what_a_window_left_is_settled_after_a_day_and_where_all_was_used() -> None:
    bench = MachineBench()
    bench.grant(8)
    later_us = DAY.end_us + DAY_US
    assert [] == bench.machine.looked(bench.now_us, later_us, [bench.entry()]).over
    spent = replace(bench.entry(), own=8)
    assert [] == bench.machine.looked(bench.now_us, DAY.end_us, [spent]).over
