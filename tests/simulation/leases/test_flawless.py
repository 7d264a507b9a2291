"""Without faults: all of a limit is used, none of it twice, and hardly a call waits."""

from __future__ import annotations

import pytest

from tests.simulation.leases.flawless import measure_skew, measure_users
from tests.simulation.leases.flawless_balance import measure_balance


@pytest.mark.parametrize(
    ("amount", "round_trips_max"),
    [(4_000, 0.02), pytest.param(20_000, 0.01, marks=pytest.mark.slow)],
)
def test_sixteen_sidecars_of_unequal_load_use_a_limit_without_waiting(
    amount: int, round_trips_max: float
) -> None:
    measured = measure_skew(amount)
    assert measured.utilisation >= 0.99
    assert 0 == measured.overspend
    # Each sidecar's first call waits: of a smaller limit that is a larger part.
    assert measured.round_trips < round_trips_max


@pytest.mark.parametrize(
    ("calls", "round_trips_max"),
    [(2_000, 0.06), pytest.param(24_000, 0.01, marks=pytest.mark.slow)],
)
def test_sixteen_sidecars_burn_a_balance_before_the_first_of_them_is_denied(
    calls: int, round_trips_max: float
) -> None:
    measured = measure_balance(calls)
    assert measured.utilisation >= 0.99
    assert 0 == measured.overspend
    assert measured.round_trips < round_trips_max


@pytest.mark.parametrize("users", [200, pytest.param(1_000, marks=pytest.mark.slow)])
def test_limits_of_many_users_are_used_without_waiting(users: int) -> None:
    measured = measure_users(users, 10)
    assert measured.utilisation >= 0.99
    assert 0 == measured.overspend
    assert measured.round_trips < 0.01
