"""Deliberate bugs of credits, each switched on alone, that the simulator has to find."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.simulation.credits.mutations import MUTATIONS

QUICK = ("part_is_enough", "debt_not_repaid", "burned_again_on_retry")
QUICK_SEEDS = 10
SEEDS = 150
SHOWN_BY: Mapping[str, tuple[str, ...]] = {
    "refunded_again": ("refunded",),
    "refunded_twice": ("refunded",),
    "void_not_told": ("voided",),
    "debt_not_repaid": ("overdrawn",),
    "spent_past_expiry": ("given",),
}
"""What shows a bug sooner than all that there is; `make sim MUTATIONS=1` finds them by that."""


@pytest.mark.parametrize("name", QUICK)
def test_a_deliberate_bug_of_credits_is_found_soon(name: str) -> None:
    assert MUTATIONS.first_seed_that_shows(name, QUICK_SEEDS, SHOWN_BY.get(name, ())) is not None


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted({*MUTATIONS} - {*QUICK}))
def test_every_deliberate_bug_of_credits_is_found(name: str) -> None:
    assert MUTATIONS.first_seed_that_shows(name, SEEDS, SHOWN_BY.get(name, ())) is not None
