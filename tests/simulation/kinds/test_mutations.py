"""Deliberate bugs of seats and levels, each switched on alone, that the simulator has to find."""

from __future__ import annotations

import pytest

from tests.simulation.kinds.mutations import MUTATIONS

QUICK = ("released_seat_not_freed", "swap_not_counted", "taken_back_is_had_twice")
QUICK_SEEDS = 6
SEEDS = 150


@pytest.mark.parametrize("name", QUICK)
def test_a_deliberate_bug_is_found_soon(name: str) -> None:
    assert MUTATIONS.first_seed_that_shows(name, QUICK_SEEDS) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", MUTATIONS)
def test_every_deliberate_bug_is_found(name: str) -> None:
    assert MUTATIONS.first_seed_that_shows(name, SEEDS) is not None
