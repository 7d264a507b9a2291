"""How long `decide` tells to wait, and which limit or rate it names, where several apply.

The rate is 10 a second with 20 at once; the limits' windows hold 15 March 2026, 12:00 UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Window
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    NOW_US,
    SHADOW,
    limit,
    rate_limit,
    rate_usage,
    throttled,
    usage,
)

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO

BURST: Final = rate_limit("burst")
SLOW: Final = rate_limit("slow", Rate(1, SECOND_US, 2))
WATCHED: Final = rate_limit("watched", Rate(1, SECOND_US, 2), SHADOW)
TENTH_US: Final = SECOND_US // 10
TO_MIDNIGHT_US: Final = DAY_US // 2
TO_APRIL_US: Final = 16 * DAY_US + DAY_US // 2

Usages = Sequence[QuotaUsage]
Rates = Sequence[RateUsage]


def decided(usages: Usages, rates: Rates, quantity: int, mode: GrantMode = ALL) -> Decision:
    return decide(quantity, mode, usages, NOW_US, rates)


@pytest.mark.parametrize(
    ("usages", "rates", "quantity", "mode", "expected"),
    [
        pytest.param([], [rate_usage(BURST, 20)], 1, ALL, TENTH_US, id="rate"),
        pytest.param([], [rate_usage(BURST)], 21, ALL, None, id="rate: more than the burst"),
        pytest.param([], [rate_usage(BURST, 20)], 21, UP_TO, TENTH_US, id="rate: up to, 1 will do"),
        pytest.param(
            [],
            [rate_usage(BURST, 20), rate_usage(SLOW, 2)],
            1,
            ALL,
            SECOND_US,
            id="rates: the last to let pass",
        ),
        pytest.param(
            [],
            [rate_usage(BURST, 20), rate_usage(SLOW)],
            3,
            ALL,
            None,
            id="rates: one never lets pass",
        ),
        pytest.param(
            [usage(limit(amount=10), 10)],
            [rate_usage(BURST, 20)],
            1,
            ALL,
            TO_APRIL_US,
            id="limit and rate: the limit's window ends later",
        ),
        pytest.param(
            [usage(limit("day", 10, HARD, DAY), 10)],
            [rate_usage(SLOW, 50_000)],
            1,
            ALL,
            49_999 * SECOND_US,
            id="limit and rate: the debt lasts longer",
        ),
        pytest.param(
            [usage(limit(amount=10))],
            [rate_usage(WATCHED, 99), rate_usage(BURST, 20)],
            1,
            ALL,
            TENTH_US,
            id="a shadow rate is not waited for",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10, throttled=20)], [], 1, ALL, TENTH_US, id="throttle"
        ),
        pytest.param(
            [usage(throttled(amount=10), 7, throttled=20)],
            [],
            5,
            ALL,
            2 * TENTH_US,
            id="throttle: for what lies above the amount",
        ),
        pytest.param(
            [usage(throttled(amount=30), 30)],
            [],
            21,
            ALL,
            TO_APRIL_US,
            id="throttle: more than the burst fits the next window",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10)],
            [],
            30,
            ALL,
            TO_APRIL_US,
            id="throttle: more than the next window's amount fits it with its burst",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10)], [], 31, ALL, None, id="throttle: more than both"
        ),
        pytest.param(
            [usage(throttled(amount=10, window=LIFETIME), 10)],
            [],
            21,
            ALL,
            None,
            id="throttle: no next window",
        ),
        pytest.param(
            [usage(throttled("day", 10, Rate(1, DAY_US, 1), DAY), 10, throttled=1)],
            [],
            1,
            ALL,
            TO_MIDNIGHT_US,
            id="throttle: the window ends before the rate lets pass",
        ),
        pytest.param(
            [usage(throttled("day", 1, Rate(1, DAY_US, 1), DAY), 1, throttled=2)],
            [],
            2,
            ALL,
            2 * DAY_US,
            id="throttle: in the next window, once the rate has room for the rest",
        ),
        pytest.param(
            [usage(limit(amount=10), 13, carried=3)],
            [],
            10,
            ALL,
            TO_APRIL_US,
            id="carried: what will be carried is not counted upon",
        ),
        pytest.param(
            [usage(limit(amount=10), 13, carried=3)], [], 11, ALL, None, id="carried: nor for more"
        ),
    ],
)
def test_retry_after(
    usages: Usages, rates: Rates, quantity: int, mode: GrantMode, expected: int | None
) -> None:
    decision = decided(usages, rates, quantity, mode)
    assert (False, expected) == (decision.allowed, decision.retry_after_us)


@pytest.mark.parametrize(
    ("usages", "rates", "quantity", "expected"),
    [
        pytest.param(
            [usage(limit("wide", 100))],
            [rate_usage(BURST, 15)],
            1,
            "wide",
            id="allowed: a rate only where there is no limit",
        ),
        pytest.param(
            [], [rate_usage(BURST, 5), rate_usage(SLOW)], 1, "slow", id="allowed: the tightest rate"
        ),
        pytest.param(
            [],
            [rate_usage(WATCHED), rate_usage(BURST, 5)],
            1,
            "burst",
            id="allowed: a shadow rate only where there is no other",
        ),
        pytest.param(
            [usage(limit("free", None))],
            [rate_usage(BURST, 5)],
            1,
            "free",
            id="allowed: an unlimited one, too, goes before a rate",
        ),
        pytest.param(
            [usage(limit("day", 10, HARD, DAY), 10)],
            [rate_usage(BURST, 20)],
            1,
            "day",
            id="denied: who lets pass last",
        ),
        pytest.param(
            [usage(limit("month", 100), 100)],
            [rate_usage(BURST)],
            21,
            "burst",
            id="denied: who never lets pass",
        ),
        pytest.param(
            [usage(limit("month", 100), 99), usage(limit("day", 5, HARD, DAY))],
            [],
            6,
            "day",
            id="denied: whose whole window has less than was asked for",
        ),
        pytest.param(
            [usage(limit("roomy", 10), 8), usage(limit("full", 10), 10)],
            [],
            3,
            "full",
            id="denied: of those that let pass at once, who has less left",
        ),
    ],
)
def test_binding_limit(usages: Usages, rates: Rates, quantity: int, expected: str) -> None:
    binding = decided(usages, rates, quantity).binding
    assert binding is not None
    assert expected == binding.limit.id


def test_late_usage_past_a_throttle_limit_waits_for_the_rate_alone() -> None:
    """Its window has ended: no next one makes room for it."""
    february = Window(NOW_US - 40 * DAY_US, NOW_US - 14 * DAY_US)
    of = throttled(amount=10)
    past = [QuotaUsage(of, february, 10, (), 0, 20 * SECOND_US)]
    assert TENTH_US == decided(past, [], 1).retry_after_us
    assert decided(past, [], 21).retry_after_us is None
