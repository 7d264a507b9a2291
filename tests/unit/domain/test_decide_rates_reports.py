"""What `decide` reports of rates, THROTTLE limits and carried amounts beside its outcome.

The rate is 10 a second with 20 at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.domain.bounds import SECOND_US
from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision, Gauge, GrantMode, RateGauge, ThresholdWarning
from tests.support.build import (
    NOW_US,
    SHADOW,
    SOFT,
    gauge,
    limit,
    rate_gauge,
    rate_limit,
    throttled,
)

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
REGARDLESS: Final = GrantMode.REGARDLESS

BURST: Final = rate_limit("burst")
WATCHED: Final = rate_limit("watched", Rate(1, SECOND_US, 2), SHADOW)

Gauges = Sequence[Gauge]
Rates = Sequence[RateGauge]


def decided(gauges: Gauges, rates: Rates, quantity: int, mode: GrantMode = ALL) -> Decision:
    return decide(quantity, mode, gauges, NOW_US, rates)


def test_allowed_shows_the_rate_with_the_request_in_it() -> None:
    decision = decided([], [rate_gauge(BURST, 5)], 3)
    assert rate_gauge(BURST, 8) == decision.binding


def test_denied_shows_the_rate_as_it_is() -> None:
    decision = decided([], [rate_gauge(BURST, 18)], 3)
    assert rate_gauge(BURST, 18) == decision.binding


def test_a_shadow_rate_that_would_deny_shows_itself_without_the_request() -> None:
    decision = decided([], [rate_gauge(WATCHED, 1)], 5)
    assert rate_gauge(WATCHED, 1) == decision.binding


def test_allowed_past_a_throttle_limit_shows_what_fills_its_rate() -> None:
    of = throttled(amount=10)
    decision = decided([gauge(of, 8, throttled=4)], [], 5)
    assert gauge(of, 13, throttled=7) == decision.binding


@pytest.mark.parametrize(
    ("used", "carried", "quantity", "expected"),
    [
        pytest.param(0, 0, 10, 4, id="within the amount: nothing"),
        pytest.param(8, 0, 5, 7, id="partly"),
        pytest.param(30, 0, 5, 9, id="wholly"),
        pytest.param(12, 3, 5, 8, id="behind what was carried"),
        pytest.param(30, 0, 0, 4, id="nothing asked"),
    ],
)
def test_what_lies_above_the_amount_fills_the_rate_past_it(
    used: int, carried: int, quantity: int, expected: int
) -> None:
    of = gauge(throttled(amount=10), used, carried=carried, throttled=4)
    assert expected * SECOND_US == of.after(quantity).throttle_level


@pytest.mark.parametrize(
    ("gauges", "quantity", "mode", "expected"),
    [
        pytest.param([gauge(throttled("t", 10), 9)], 1, ALL, (), id="within"),
        pytest.param([gauge(throttled("t", 10), 9)], 2, ALL, ("t",), id="partly above"),
        pytest.param([gauge(throttled("t", 10), 30)], 0, ALL, (), id="nothing asked"),
        pytest.param(
            [gauge(throttled("t", 10), 30), gauge(throttled("u", 20), 30)],
            1,
            ALL,
            ("t", "u"),
            id="several",
        ),
        pytest.param([gauge(limit("s", 10, SOFT), 30)], 1, ALL, (), id="soft is none"),
        pytest.param(
            [gauge(throttled("t", 10), 30, throttled=20), gauge(throttled("u", 20), 30)],
            1,
            REGARDLESS,
            ("u",),
            id="has happened: only those whose rate would have let it pass",
        ),
    ],
)
def test_throttled(
    gauges: Gauges, quantity: int, mode: GrantMode, expected: tuple[str, ...]
) -> None:
    assert expected == decided(gauges, [], quantity, mode).throttled


@pytest.mark.parametrize(
    ("gauges", "rates", "quantity", "mode", "expected"),
    [
        pytest.param([], [rate_gauge(WATCHED, 1)], 1, ALL, (), id="rate would have allowed"),
        pytest.param([], [rate_gauge(WATCHED, 1)], 2, ALL, ("watched",), id="rate would not"),
        pytest.param(
            [gauge(limit("s", 5, SHADOW), 5)],
            [rate_gauge(WATCHED, 2)],
            1,
            ALL,
            ("s", "watched"),
            id="limit and rate",
        ),
        pytest.param(
            [gauge(limit("h", 9), 8)],
            [rate_gauge(WATCHED, 1)],
            5,
            UP_TO,
            (),
            id="up to: what was granted fits",
        ),
        pytest.param(
            [gauge(limit("s", 5, SHADOW), 6, carried=2)], [], 1, ALL, (), id="carried amounts count"
        ),
        pytest.param(
            [], [rate_gauge(WATCHED, 1)], 2, REGARDLESS, ("watched",), id="has happened: as well"
        ),
    ],
)
def test_shadow_denials(
    gauges: Gauges, rates: Rates, quantity: int, mode: GrantMode, expected: tuple[str, ...]
) -> None:
    assert expected == decided(gauges, rates, quantity, mode).shadow_denials


@pytest.mark.parametrize(
    ("used", "carried", "quantity", "expected"),
    [
        pytest.param(0, 100, 99, (), id="half of the amount is not half of what may be used"),
        pytest.param(0, 100, 100, (50,), id="half of what may be used"),
        pytest.param(0, 0, 100, (50, 80, 100), id="nothing carried"),
        pytest.param(100, 100, 60, (80,), id="in what was carried"),
        pytest.param(0, 100, 200, (50, 80, 100), id="all of it"),
    ],
)
def test_thresholds_are_parts_of_what_may_be_used(
    used: int, carried: int, quantity: int, expected: tuple[int, ...]
) -> None:
    decision = decided([gauge(limit("m", 100), used, carried=carried)], [], quantity)
    assert tuple(ThresholdWarning("m", percent) for percent in expected) == decision.warnings


def test_overage_of_a_soft_limit_begins_behind_what_was_carried() -> None:
    decision = decided([gauge(limit("s", 10, SOFT), 11, carried=3)], [], 5)
    assert 3 == decision.overage
