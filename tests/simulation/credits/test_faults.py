"""Balances of credits under faults; `make sim KIND=credits` plays thousands of these."""

from __future__ import annotations

import pytest

from tests.simulation.credits.generate import schedule_of
from tests.simulation.credits.player import play
from tests.simulation.credits.schedule import read_schedule

SEEDS_AT_ONCE = 3
QUICK = range(1, 7, SEEDS_AT_ONCE)
SLOW = range(7, 43, SEEDS_AT_ONCE)


@pytest.mark.parametrize(
    "first", [*QUICK, *(pytest.param(first, marks=pytest.mark.slow) for first in SLOW)]
)
def test_each_micro_credit_is_burned_once_and_in_time(first: int) -> None:
    outcomes = [play(schedule_of(seed)) for seed in range(first, first + SEEDS_AT_ONCE)]
    assert [] == [outcome for outcome in outcomes if outcome.violation]
    # Enough happened for that to mean something.
    assert sum(outcome.allowed for outcome in outcomes) > 10 * SEEDS_AT_ONCE
    assert sum(outcome.waited for outcome in outcomes) > SEEDS_AT_ONCE


def test_a_schedule_of_credits_is_read_as_it_is_written() -> None:
    schedule = schedule_of(3)
    assert schedule == read_schedule(schedule.text())
