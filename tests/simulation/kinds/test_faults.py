"""Seats and levels under faults of all kinds; `make sim KIND=kinds` plays thousands of these."""

from __future__ import annotations

import pytest

from tests.simulation.kinds.generate import schedule_of
from tests.simulation.kinds.player import play
from tests.simulation.kinds.schedule import read_schedule

SEEDS = 20
SEEDS_AT_ONCE = 5


@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_AT_ONCE))
def test_no_seat_or_level_is_over_its_limit_lost_or_doubled_under_faults(first: int) -> None:
    outcomes = [play(schedule_of(seed)) for seed in range(first, first + SEEDS_AT_ONCE)]
    assert [] == [outcome for outcome in outcomes if outcome.violation]
    # Enough happened for that to mean something.
    assert sum(outcome.allowed for outcome in outcomes) > 20 * SEEDS_AT_ONCE
    assert sum(outcome.denied for outcome in outcomes) > SEEDS_AT_ONCE


def test_a_seed_is_played_alike_each_time() -> None:
    assert play(schedule_of(4)) == play(schedule_of(4))


def test_a_schedule_is_read_as_it_is_written() -> None:
    schedule = schedule_of(3)
    assert schedule == read_schedule(schedule.text())
