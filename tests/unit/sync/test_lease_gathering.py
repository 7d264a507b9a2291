"""How what calls wait for goes to the plane: what of it goes together, and when, by outcome."""

from __future__ import annotations

from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.time.units import SECOND_US
from sidecar.sync.machine.lease_actions import Rest
from sidecar.sync.machine.lease_asks import (
    AWAITED_ASKS_MAX,
    OVERTAKEN_US,
    TOGETHER_US,
    UNAWAITED_ASKS_MAX,
)
from sidecar.sync.machine.leasing import REQUESTS_MAX
from tests.support.lease_machine import GATHERED_US, MachineBench, named


def test_what_waits_at_the_same_time_travels_in_one_message() -> None:
    bench = MachineBench()
    for number in range(200):
        bench.need(1, named(number))
    assert 200 == len(bench.ask().wishes)


def test_behind_an_exchange_all_that_comes_gathers_for_the_next() -> None:
    bench = MachineBench()
    bench.need(1)
    alone = bench.ask()
    for number in range(2, 100):
        bench.need(1, named(number))
        assert isinstance(bench.next(), Rest)
    bench.answer(alone, LeaseStatus.GRANTED, 8)
    assert 98 == len(bench.ask().wishes)


def test_where_calls_come_side_by_side_they_gather_for_a_moment_and_one_alone_does_not() -> None:
    bench = MachineBench()
    for number in range(2):
        bench.need(1, named(number))
    bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)
    bench.need(1, named(2))
    assert Rest(bench.now_us + TOGETHER_US) == bench.next()
    bench.now_us += TOGETHER_US
    bench.answer(bench.ask(), LeaseStatus.GRANTED, 8)
    bench.need(1, named(3))
    assert bench.ask().serves_calls


def test_an_exchange_that_lasts_is_overtaken_by_one_more() -> None:
    bench = MachineBench()
    bench.need(1)
    lasting = bench.ask()
    bench.need(1, named(2))
    assert Rest(bench.now_us + OVERTAKEN_US) == bench.next()
    bench.now_us += OVERTAKEN_US
    overtaking = bench.ask()
    bench.need(1, named(3))
    assert Rest(bench.now_us + SECOND_US) == bench.next()
    bench.answer(overtaking, LeaseStatus.GRANTED, 8)
    assert [named(3)] == [wish.counter for wish in bench.ask().wishes]
    bench.answer(lasting, LeaseStatus.GRANTED, 8)


def test_a_company_whose_thousands_of_users_wait_holds_up_no_other() -> None:
    bench = MachineBench()
    for number in range(3_000):
        bench.need(1, named(number))
    others = [named(1, company=f"other {number}") for number in range(5)]
    first = bench.ask()
    for other in others:
        bench.need(1, other)
    bench.answer(first, LeaseStatus.GRANTED, 8)
    bench.now_us += TOGETHER_US
    second = [wish.counter for wish in bench.ask().wishes]
    assert REQUESTS_MAX == len(first.wishes) == len(second)
    assert set(others) == {counter for counter in second if counter.company != "acme"}


def test_companies_that_wait_have_equal_parts_of_a_message() -> None:
    bench = MachineBench()
    for company in ("acme", "globex", "initech"):
        for number in range(300):
            bench.need(1, named(number, company=company))
    companies = [wish.counter.company for wish in bench.ask().wishes]
    assert [84, 83, 83] == [companies.count(name) for name in ("acme", "globex", "initech")]


def test_no_more_exchanges_are_under_way_than_may_be() -> None:
    bench = MachineBench()
    for number in range(AWAITED_ASKS_MAX):
        bench.need(1, named(number))
        bench.ask()
        bench.now_us += OVERTAKEN_US
    bench.need(1, named(99))
    assert isinstance(bench.next(), Rest)


def test_refills_leave_room_for_calls_that_wait() -> None:
    bench = MachineBench()
    for number in range(UNAWAITED_ASKS_MAX + 1):
        bench.machine.due(bench.now_us, [named(number)])
        bench.now_us += GATHERED_US
        bench.next()
    bench.need(1, named(99))
    assert [named(99)] == [wish.counter for wish in bench.ask().wishes]


def test_what_does_not_fit_a_message_goes_with_the_next_though_nothing_comes_after_it() -> None:
    bench = MachineBench()
    recalled = [named(number) for number in range(3 * REQUESTS_MAX)]
    bench.machine.give_back(bench.now_us, recalled)
    first, second = bench.gathered(), bench.ask()
    assert isinstance(bench.next(), Rest)
    bench.answer(first, LeaseStatus.GRANTED)
    third = bench.ask()
    assert recalled == [wish.counter for ask in (first, second, third) for wish in ask.wishes]
