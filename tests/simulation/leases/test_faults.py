"""Leases under faults of all kinds; `make sim` plays thousands of these."""

from __future__ import annotations

import pytest

from tests.simulation.leases.generate import schedule_of
from tests.simulation.leases.player import play
from tests.simulation.leases.schedule import Ask, Kill, LeaseSchedule, read_schedule
from tests.simulation.leases.shrink import shrunk

SEEDS = 24
SEEDS_AT_ONCE = 6


@pytest.mark.parametrize("first", range(1, SEEDS + 1, SEEDS_AT_ONCE))
def test_nothing_is_overspent_lost_or_doubled_under_faults(first: int) -> None:
    outcomes = [play(schedule_of(seed)) for seed in range(first, first + SEEDS_AT_ONCE)]
    assert [] == [outcome for outcome in outcomes if outcome.violation]
    # Enough happened for that to mean something.
    assert sum(outcome.allowed for outcome in outcomes) > 20 * SEEDS_AT_ONCE
    assert sum(outcome.denied for outcome in outcomes) > SEEDS_AT_ONCE
    assert sum(outcome.waited for outcome in outcomes) > SEEDS_AT_ONCE


def test_a_seed_is_played_alike_each_time() -> None:
    assert play(schedule_of(7)) == play(schedule_of(7))


def test_a_schedule_is_read_as_it_is_written() -> None:
    schedule = schedule_of(3)
    assert schedule == read_schedule(schedule.text())


def test_a_schedule_is_cut_down_to_the_steps_that_it_takes() -> None:
    def is_broken(schedule: LeaseSchedule) -> bool:
        kills = [step for step in schedule.steps if isinstance(step, Kill)]
        calls = [step for step in schedule.steps if isinstance(step, Ask)]
        return len(kills) >= 2 and any(call.quantity == 7 for call in calls)

    schedule = next(some for some in map(schedule_of, range(1, 1_000)) if is_broken(some))
    left = shrunk(schedule, is_broken)
    assert is_broken(left)
    assert 3 == len(left.steps)
