"""What the lease machine does for calls that wait, and with the plane's answers, by outcome."""

from __future__ import annotations

import pytest

from sidecar.domain.leases.model import (
    LeaseNeed,
    LeaseResult,
    LeaseStatus,
)
from sidecar.domain.leases.sizing import NO_REFILL
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.sync.machine.lease_actions import (
    AskLeases,
    ReportLeases,
    Rest,
)
from tests.support.lease_machine import DAY, EPOCH, GATHERED_US, PATIENCE_US, A, MachineBench, named


def test_a_call_that_waits_is_asked_for_at_once() -> None:
    bench = MachineBench()
    bench.need(3)
    ask = bench.ask()
    assert ask.serves_calls
    assert ask.epoch == EPOCH
    assert [(wish.counter, wish.need) for wish in ask.wishes] == [(A, 3)]
    assert ask.wishes[0].want >= 3


def test_it_goes_on_once_what_was_granted_is_on_disk() -> None:
    bench = MachineBench()
    wait = bench.need(3)
    ended, _ = bench.answer(bench.ask(), LeaseStatus.GRANTED, 24)
    assert [wait] == ended
    assert isinstance(bench.next(), Rest)


def test_calls_that_wait_for_a_counter_share_a_request() -> None:
    bench = MachineBench()
    waits = [bench.need(quantity) for quantity in (5, 2, 9)]
    ask = bench.ask()
    assert [(wish.need, wish.want >= 16) for wish in ask.wishes] == [(2, True)]
    ended, _ = bench.answer(ask, LeaseStatus.GRANTED, 6)
    assert waits[:2] == ended
    assert [9] == [wish.need for wish in bench.ask().wishes]


def test_a_counter_is_in_one_exchange_at_a_time() -> None:
    bench = MachineBench()
    bench.need(1)
    ask = bench.ask()
    later = bench.need(1)
    bench.machine.due(bench.now_us, [A])
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)
    ended, _ = bench.answer(ask, LeaseStatus.GRANTED, 8)
    assert later in ended


def test_what_nobody_waits_for_gathers() -> None:
    bench = MachineBench()
    bench.machine.due(bench.now_us, [named(1)])
    assert isinstance(bench.next(), Rest)
    bench.machine.due(bench.now_us, [named(2), named(1)])
    ask = bench.gathered()
    assert not ask.serves_calls
    assert [named(1), named(2)] == [wish.counter for wish in ask.wishes]
    assert [0, 0] == [wish.need for wish in ask.wishes]


def test_more_is_wanted_where_more_is_used() -> None:
    bench = MachineBench()
    bench.grant(100)
    wants = []
    for used in (100, 10_000):
        bench.now_us += SECOND_US
        bench.used[A] = used
        bench.look(bench.entry())
        bench.machine.due(bench.now_us, [A])
        ask = bench.gathered()
        wants.append(ask.wishes[0].want)
        bench.answer(ask, LeaseStatus.GRANTED, used + 100)
    assert wants[0] >= 100
    assert wants[1] > 10 * wants[0]


def test_a_refill_that_brings_nothing_is_not_asked_for_again_at_once() -> None:
    bench = MachineBench()
    bench.grant(8)
    bench.used[A] = 5
    bench.machine.due(bench.now_us, [A])
    requests = bench.numbered(ask := bench.gathered())
    results = [LeaseResult(requests[0].number, LeaseStatus.GRANTED, 8, DAY.end_us)]
    outcome = bench.machine.answered(bench.now_us, requests, results)
    bench.machine.taken(bench.now_us, ask, requests, results)
    assert [NO_REFILL] == [refill_at for _, _, refill_at in outcome.take]
    bench.machine.due(bench.now_us, [A])
    bench.now_us += GATHERED_US
    assert isinstance(bench.next(), Rest)
    bench.now_us += 2 * SECOND_US
    bench.machine.due(bench.now_us, [A])
    assert [A] == [wish.counter for wish in bench.gathered().wishes]


def test_who_waits_for_more_than_is_left_anywhere_is_told_and_smaller_calls_are_asked_for() -> None:
    bench = MachineBench()
    large = bench.need(50)
    ask = bench.ask()
    small = bench.need(1)
    ended, refusals = bench.answer(ask, LeaseStatus.EXHAUSTED)
    assert [large] == ended
    assert [(A, LeaseStatus.EXHAUSTED, 50)] == [
        (refusal.counter, refusal.status, refusal.quantity) for refusal in refusals
    ]
    assert refusals[0].until_us == bench.now_us + 100 * MILLISECOND_US
    assert [1] == [wish.need for wish in bench.ask().wishes]
    assert small not in ended


@pytest.mark.parametrize(
    "status", [LeaseStatus.RECALLING, LeaseStatus.RECOVERING, LeaseStatus.BEHIND]
)
def test_where_others_hold_it_or_the_plane_is_not_ready_calls_wait_and_it_is_asked_again(
    status: LeaseStatus,
) -> None:
    bench = MachineBench()
    wait = bench.need(1)
    ended, refusals = bench.answer(bench.ask(), status, retry_after_ms=30)
    assert not ended
    assert not refusals
    assert bench.next() == Rest(bench.now_us + 30 * MILLISECOND_US)
    bench.now_us += 30 * MILLISECOND_US
    ended, _ = bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)
    assert [wait] == ended


def test_usage_that_the_plane_lacks_is_pushed_in_a_hurry() -> None:
    bench = MachineBench()
    bench.need(1)
    requests = bench.numbered(bench.ask())
    results = [LeaseResult(requests[0].number, LeaseStatus.BEHIND)]
    assert bench.machine.answered(bench.now_us, requests, results).hurry


def test_who_cannot_wait_until_it_is_asked_again_does_not_wait() -> None:
    bench = MachineBench()
    wait = bench.need(1)
    bench.now_us += PATIENCE_US - 10 * MILLISECOND_US
    ended, _ = bench.answer(bench.ask(), LeaseStatus.RECALLING, retry_after_ms=50)
    assert [wait] == ended


@pytest.mark.parametrize(
    ("status", "waits"),
    [
        pytest.param(LeaseStatus.GONE, False, id="the limit is gone"),
        pytest.param(LeaseStatus.REFUSED, True, id="refused, perhaps since it is fenced"),
        pytest.param(LeaseStatus.SUPERSEDED, True, id="another has asked under its name"),
    ],
)
def test_where_nothing_can_be_held_the_lease_is_dropped_and_nobody_waits_but_to_greet(
    status: LeaseStatus, waits: bool
) -> None:
    bench = MachineBench()
    bench.grant(8)
    wait = bench.need(20)
    requests = bench.numbered(ask := bench.ask())
    results = [LeaseResult(requests[0].number, status)]
    outcome = bench.machine.answered(bench.now_us, requests, results)
    assert [A] == list(outcome.drop)
    assert [] == list(outcome.take)
    assert [(A, status)] == [(refusal.counter, refusal.status) for refusal in outcome.refusals]
    ended = bench.machine.taken(bench.now_us, ask, requests, results)
    assert ([] if waits else [wait]) == ended
    assert 0 == len(bench.machine.held)
    bench.now_us += SECOND_US // 2
    assert isinstance(bench.next(), Rest)


def test_while_the_plane_does_not_answer_nobody_waits() -> None:
    bench = MachineBench()
    first, second = bench.need(1), bench.need(1, named(2))
    ended = bench.machine.failed(bench.now_us, bench.ask())
    assert {first, second} == set(ended)
    need = LeaseNeed(A, 1)
    assert bench.machine.needed(bench.now_us, need, bench.now_us + PATIENCE_US) is None
    bench.now_us += SECOND_US // 2
    bench.need(1)
    assert bench.ask().serves_calls


def test_a_connection_that_is_there_again_ends_the_rest() -> None:
    bench = MachineBench()
    bench.need(1)
    bench.machine.failed(bench.now_us, bench.ask())
    bench.machine.connected()
    bench.need(1)
    assert bench.ask().serves_calls


def test_what_nobody_waited_for_is_asked_for_again_after_a_failure() -> None:
    bench = MachineBench()
    bench.machine.give_back(bench.now_us, [A])
    ask = bench.gathered()
    bench.machine.failed(bench.now_us, ask)
    assert isinstance(bench.next(), Rest)
    bench.now_us += SECOND_US
    assert list(ask.wishes) == list(bench.ask().wishes)


def test_under_another_epoch_all_is_reported_before_anything_is_asked_for() -> None:
    bench = MachineBench()
    bench.need(1)
    under_way = bench.ask()
    bench.machine.greeted(bench.now_us, "epoch-2", grants_leases=True)
    wait = bench.need(1, named(2))
    # What is under way may bring a lease that is to be reported.
    assert isinstance(bench.next(), Rest)
    bench.answer(under_way, LeaseStatus.GRANTED, 8)
    assert ReportLeases("epoch-2") == bench.next()
    assert isinstance(bench.next(), Rest)
    bench.machine.reported(bench.now_us, "epoch-2")
    ask = bench.ask()
    assert "epoch-2" == ask.epoch == bench.machine.reports.epoch
    assert [wait] == bench.answer(ask, LeaseStatus.GRANTED, 8)[0]


def test_a_report_that_fails_is_made_again() -> None:
    bench = MachineBench(epoch="")
    bench.machine.greeted(bench.now_us, EPOCH, grants_leases=True)
    assert ReportLeases(EPOCH) == bench.next()
    bench.machine.report_failed(bench.now_us)
    bench.now_us += SECOND_US
    assert ReportLeases(EPOCH) == bench.next()
    assert bench.machine.reports.epoch == ""


@pytest.mark.parametrize("reporting", [False, True])
def test_after_its_store_has_left_an_incarnation_all_is_reported_anew_before_calls_go_on(
    reporting: bool,
) -> None:
    bench = MachineBench(epoch="" if reporting else EPOCH)
    reports = bench.machine.reports
    if reporting:
        bench.machine.greeted(bench.now_us, EPOCH, grants_leases=True)
        assert ReportLeases(EPOCH) == bench.next()
    wait = bench.need(1)
    reports.leave()
    assert isinstance(bench.next(), Rest)
    assert reports.epoch == ""  # so a restart reports it, too
    if reporting:  # what was on its way says how it was before
        bench.machine.reported(bench.now_us, EPOCH)
        assert isinstance(bench.next(), Rest)
    reports.left()
    assert ReportLeases(EPOCH) == bench.next()
    assert reports.epoch == ""
    bench.machine.reported(bench.now_us, EPOCH)
    assert [wait] == bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)[0]


def test_a_plane_that_is_another_is_greeted_before_it_is_asked_again() -> None:
    bench = MachineBench()
    wait = bench.need(1)
    bench.machine.epoch_lost(bench.now_us, bench.ask())
    bench.now_us += SECOND_US // 2
    assert isinstance(bench.next(), Rest)
    bench.machine.greeted(bench.now_us, "epoch-2", grants_leases=True)
    assert ReportLeases("epoch-2") == bench.next()
    bench.machine.reported(bench.now_us, "epoch-2")
    assert [wait] == bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)[0]


def test_where_it_cannot_be_greeted_nobody_waits() -> None:
    bench = MachineBench()
    wait = bench.need(1)
    assert [] == bench.machine.plane_away(bench.now_us)
    bench.machine.epoch_lost(bench.now_us, bench.ask())
    assert [wait] == bench.machine.plane_away(bench.now_us)


def test_a_plane_that_grants_none_any_more_is_not_asked() -> None:
    bench = MachineBench()
    wait = bench.need(1)
    bench.machine.give_back(bench.now_us, [named(2)])
    assert [wait] == bench.machine.greeted(bench.now_us, EPOCH, grants_leases=False)
    bench.now_us += SECOND_US
    assert isinstance(bench.next(), Rest)
    need = LeaseNeed(A, 1)
    assert bench.machine.needed(bench.now_us, need, bench.now_us + PATIENCE_US) is None


def test_who_gave_up_is_asked_for_no_more() -> None:
    bench = MachineBench()
    bench.machine.gave_up(bench.need(1))
    assert isinstance(bench.next(), Rest)


def test_while_this_sidecar_is_behind_the_plane_calls_wait_for_it_to_hear() -> None:
    bench = MachineBench()
    waited = []
    for _ in range(8):
        began_us = bench.now_us
        wait = bench.need(1)
        while isinstance(action := bench.next(), Rest):
            bench.now_us = action.until_us
        waited.append((bench.now_us - began_us) // MILLISECOND_US)
        assert isinstance(action, AskLeases)
        # It is granted each time, and cannot be spent: a raised amount was not heard here yet.
        assert [wait] == bench.answer(action, LeaseStatus.GRANTED, 8)[0]
    assert [0, 0, 20, 40, 80, 160, 160, 160] == waited
    bench.used[A] = 8
    bench.look(bench.entry())
    bench.need(1)
    assert bench.ask().serves_calls
