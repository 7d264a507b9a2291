"""What `decide` reports of rates, THROTTLE limits and carried amounts beside its outcome.

The rate is 10 a second with 20 at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision, ThresholdWarning
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import SECOND_US
from tests.support.build import (
    NOW_US,
    SHADOW,
    SOFT,
    limit,
    rate_limit,
    rate_usage,
    throttled,
    usage,
)

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
RECORD_ONLY: Final = GrantMode.RECORD_ONLY

BURST: Final = rate_limit("burst")
WATCHED: Final = rate_limit("watched", Rate(1, SECOND_US, 2), SHADOW)

Usages = Sequence[QuotaUsage]
Rates = Sequence[RateUsage]


def decided(usages: Usages, rates: Rates, quantity: int, mode: GrantMode = ALL) -> Decision:
    return decide(quantity, mode, usages, NOW_US, rates)


def test_allowed_shows_the_rate_with_the_request_in_it() -> None:
    decision = decided([], [rate_usage(BURST, 5)], 3)
    assert rate_usage(BURST, 8) == decision.binding


def test_denied_shows_the_rate_as_it_is() -> None:
    decision = decided([], [rate_usage(BURST, 18)], 3)
    assert rate_usage(BURST, 18) == decision.binding


def test_a_shadow_rate_that_would_deny_shows_itself_without_the_request() -> None:
    decision = decided([], [rate_usage(WATCHED, 1)], 5)
    assert rate_usage(WATCHED, 1) == decision.binding


def test_allowed_past_a_throttle_limit_shows_what_fills_its_rate() -> None:
    of = throttled(amount=10)
    decision = decided([usage(of, 8, throttled=4)], [], 5)
    assert usage(of, 13, throttled=7) == decision.binding


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
    of = usage(throttled(amount=10), used, carried=carried, throttled=4)
    assert expected * SECOND_US == of.after(quantity).throttle_level


@pytest.mark.parametrize(
    ("usages", "quantity", "mode", "expected"),
    [
        pytest.param([usage(throttled("t", 10), 9)], 1, ALL, (), id="within"),
        pytest.param([usage(throttled("t", 10), 9)], 2, ALL, ("t",), id="partly above"),
        pytest.param([usage(throttled("t", 10), 30)], 0, ALL, (), id="nothing asked"),
        pytest.param(
            [usage(throttled("t", 10), 30), usage(throttled("u", 20), 30)],
            1,
            ALL,
            ("t", "u"),
            id="several",
        ),
        pytest.param([usage(limit("s", 10, SOFT), 30)], 1, ALL, (), id="soft is none"),
        pytest.param(
            [usage(throttled("t", 10), 30, throttled=20), usage(throttled("u", 20), 30)],
            1,
            RECORD_ONLY,
            ("u",),
            id="has happened: only those whose rate would have let it pass",
        ),
    ],
)
def test_throttled(
    usages: Usages, quantity: int, mode: GrantMode, expected: tuple[str, ...]
) -> None:
    assert expected == decided(usages, [], quantity, mode).throttled


@pytest.mark.parametrize(
    ("usages", "rates", "quantity", "mode", "expected"),
    [
        pytest.param([], [rate_usage(WATCHED, 1)], 1, ALL, (), id="rate would have allowed"),
        pytest.param([], [rate_usage(WATCHED, 1)], 2, ALL, ("watched",), id="rate would not"),
        pytest.param(
            [usage(limit("s", 5, SHADOW), 5)],
            [rate_usage(WATCHED, 2)],
            1,
            ALL,
            ("s", "watched"),
            id="limit and rate",
        ),
        pytest.param(
            [usage(limit("h", 9), 8)],
            [rate_usage(WATCHED, 1)],
            5,
            UP_TO,
            (),
            id="up to: what was granted fits",
        ),
        pytest.param(
            [usage(limit("s", 5, SHADOW), 6, carried=2)], [], 1, ALL, (), id="carried amounts count"
        ),
        pytest.param(
            [], [rate_usage(WATCHED, 1)], 2, RECORD_ONLY, ("watched",), id="has happened: as well"
        ),
    ],
)
def test_shadow_denials(
    usages: Usages, rates: Rates, quantity: int, mode: GrantMode, expected: tuple[str, ...]
) -> None:
    assert expected == decided(usages, rates, quantity, mode).shadow_denials


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
    decision = decided([usage(limit("m", 100), used, carried=carried)], [], quantity)
    assert tuple(ThresholdWarning("m", percent) for percent in expected) == decision.warnings


def test_overage_of_a_soft_limit_begins_behind_what_was_carried() -> None:
    decision = decided([usage(limit("s", 10, SOFT), 11, carried=3)], [], 5)
    assert 3 == decision.overage
