"""Companies take turns in being asked about: against a model that knows only who waits."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName
from sidecar.sync.machine.lease_waits import LeaseWaits
from tests.support.lease_machine import named

COMPANIES: Final = ("acme", "globex", "initech", "umbrella")
FAR_US: Final = 1_000_000

waiting = st.lists(
    st.builds(named, st.integers(0, 30), company=st.sampled_from(COMPANIES)), max_size=60
)
rounds = st.lists(st.tuples(waiting, st.integers(1, 20)), min_size=1, max_size=8)


@given(rounds)
def test_of_those_who_wait_on_no_company_is_two_counters_ahead_of_another(
    rounds: list[tuple[list[CounterName], int]],
) -> None:
    waits = LeaseWaits()
    wait: set[CounterName] = set()
    asked: set[CounterName] = set()
    for counters, most in rounds:
        for counter in counters:
            waits.add(LeaseNeed(counter, 1), FAR_US, is_asked=counter in asked)
            if counter not in asked:
                wait.add(counter)
        taken = waits.take_ready(0, most)
        assert len(set(taken)) == len(taken) == min(most, len(wait))
        assert wait.issuperset(taken)
        wait.difference_update(taken)
        asked.update(taken)
        assert bool(wait) == waits.any_ready(0)
        of = Counter(counter.company for counter in taken)
        for company in {counter.company for counter in wait}:
            assert all(of[other] <= of[company] + 1 for other in COMPANIES)


@given(waiting, st.integers(1, 5))
def test_all_are_asked_about_and_each_company_as_soon_as_it_would_be_with_single_counters(
    counters: list[CounterName], most: int
) -> None:
    waits = LeaseWaits()
    for counter in counters:
        waits.add(LeaseNeed(counter, 1), FAR_US, is_asked=False)
    turns: list[CounterName] = []
    while taken := waits.take_ready(0, most):
        turns += taken
    assert sorted(map(str, set(counters))) == sorted(map(str, turns))
    companies = list(dict.fromkeys(counter.company for counter in counters))
    assert companies == [counter.company for counter in turns[: len(companies)]]


@given(waiting, st.sets(st.integers(0, 59)))
def test_who_gave_up_has_no_turn(counters: list[CounterName], gives_up: set[int]) -> None:
    waits = LeaseWaits()
    numbers = [waits.add(LeaseNeed(counter, 1), FAR_US, is_asked=False) for counter in counters]
    stay: set[CounterName] = set()
    for at, (counter, number) in enumerate(zip(counters, numbers, strict=True)):
        assert number is not None
        if at in gives_up:
            waits.end(number)
        else:
            stay.add(counter)
    assert stay == set(waits.take_ready(0, len(counters) + 1))
