"""How much is asked for, when, and how far ahead."""

from __future__ import annotations

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.leases.sizing import NO_REFILL, lead_us, refill_at, smoothed, wanted
from sidecar.domain.time.units import DAY_US, HOUR_US, MILLISECOND_US, MINUTE_US, SECOND_US
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window

A_SECOND = 1_000
"""Demand of one unit a second."""


@pytest.mark.parametrize(
    ("demand", "quantity", "elapsed_us", "expected"),
    [
        pytest.param(0, 0, SECOND_US, 0, id="nothing is used"),
        pytest.param(0, 1, 0, A_SECOND, id="one call does not look like thousands a second"),
        pytest.param(0, 500, MILLISECOND_US, 499_500, id="a burst counts as of one second"),
        pytest.param(A_SECOND, 0, 9 * SECOND_US, A_SECOND // 10, id="what is not used fades"),
        pytest.param(A_SECOND, 9, 9 * SECOND_US, A_SECOND, id="what is used steadily stays"),
        pytest.param(A_SECOND, -5, SECOND_US, A_SECOND // 2, id="usage never goes back"),
        pytest.param(INT64_MAX, INT64_MAX, 0, INT64_MAX, id="as much as can be"),
    ],
)
def test_demand(demand: int, quantity: int, elapsed_us: int, expected: int) -> None:
    assert expected == smoothed(demand, quantity, elapsed_us)


@pytest.mark.parametrize("per_second", [1, 7, 1_000, 10**9])
def test_demand_comes_near_to_steady_use(per_second: int) -> None:
    demand = 0
    for _ in range(200):
        demand = smoothed(demand, per_second, SECOND_US)
    assert per_second * 995 <= demand <= per_second * 1_000


@pytest.mark.parametrize(
    ("need", "demand", "quantity", "expected"),
    [
        pytest.param(0, 0, 1, 8, id="seldom used: a few calls"),
        pytest.param(3, 0, 3, 24, id="of the size that they have"),
        pytest.param(100, 0, 3, 100, id="what a call needs at least"),
        pytest.param(1, 100 * A_SECOND, 1, 1_001, id="twice what is used in the while, and a call"),
        pytest.param(0, 1, 1, 8, id="less than one in the while is a call"),
        pytest.param(INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX, id="as much as can be"),
    ],
)
def test_wanted(need: int, demand: int, quantity: int, expected: int) -> None:
    assert expected == wanted(need, demand, quantity, 5 * SECOND_US)


@pytest.mark.parametrize(
    ("held", "granted", "used", "expected"),
    [
        pytest.param(0, 100, 0, 50, id="half of it"),
        pytest.param(100, 200, 60, 130, id="half of what is left"),
        pytest.param(0, 1, 0, 0, id="one: at once"),
        pytest.param(10, 11, 10, 10, id="one more: at once"),
        pytest.param(7, 7, 3, NO_REFILL, id="no more was to be had: not again by itself"),
        pytest.param(7, 5, 3, NO_REFILL, id="less"),
    ],
)
def test_refill_at(held: int, granted: int, used: int, expected: int) -> None:
    assert expected == refill_at(held, granted, used)


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        pytest.param(Window(0, DAY_US), MINUTE_US, id="a minute before a day ends"),
        pytest.param(Window(0, MINUTE_US), 6 * SECOND_US, id="a tenth of a minute"),
        pytest.param(Window(HOUR_US, 2 * HOUR_US), MINUTE_US, id="a minute before an hour ends"),
        pytest.param(LIFETIME_WINDOW, 0, id="a lifetime has no next window"),
    ],
)
def test_lead(window: Window, expected: int) -> None:
    assert expected == lead_us(window)
