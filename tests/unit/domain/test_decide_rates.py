"""What `decide` answers where rates, THROTTLE limits and carried amounts apply, by outcome.

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
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage
from sidecar.domain.time.units import SECOND_US
from tests.support.build import (
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
RECORD_ONLY: Final = GrantMode.RECORD_ONLY
ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED
LIMITED: Final = Reason.RATE_LIMITED

BURST: Final = rate_limit("burst")
SLOW: Final = rate_limit("slow", Rate(1, SECOND_US, 2))
WATCHED: Final = rate_limit("watched", Rate(1, SECOND_US, 2), SHADOW)

Usages = Sequence[QuotaUsage]
Rates = Sequence[RateUsage]


def outcome(decision: Decision) -> tuple[bool, Reason, int]:
    return decision.allowed, decision.reason, decision.granted


def decided(usages: Usages, rates: Rates, quantity: int, mode: GrantMode = ALL) -> Decision:
    return decide(quantity, mode, usages, NOW_US, rates)


@pytest.mark.parametrize(
    ("usages", "rates", "quantity", "mode", "expected"),
    [
        pytest.param([], [rate_usage(BURST)], 20, ALL, (True, ALLOWED, 20), id="rate: the burst"),
        pytest.param([], [rate_usage(BURST)], 21, ALL, (False, LIMITED, 0), id="rate: past it"),
        pytest.param([], [rate_usage(BURST, 15)], 5, ALL, (True, ALLOWED, 5), id="rate: the rest"),
        pytest.param([], [rate_usage(BURST, 16)], 5, ALL, (False, LIMITED, 0), id="rate: too many"),
        pytest.param([], [rate_usage(BURST, 99)], 0, ALL, (True, ALLOWED, 0), id="rate: 0 in debt"),
        pytest.param(
            [], [rate_usage(BURST, 15)], 9, UP_TO, (True, ALLOWED, 5), id="rate: up to what fits"
        ),
        pytest.param(
            [], [rate_usage(BURST, 20)], 9, UP_TO, (False, LIMITED, 0), id="rate: up to nothing"
        ),
        pytest.param(
            [], [rate_usage(BURST, 20)], 9, RECORD_ONLY, (True, LIMITED, 9), id="rate: has happened"
        ),
        pytest.param(
            [],
            [rate_usage(BURST), rate_usage(SLOW)],
            3,
            ALL,
            (False, LIMITED, 0),
            id="rates: one of two denies",
        ),
        pytest.param(
            [],
            [rate_usage(BURST, 19), rate_usage(SLOW)],
            9,
            UP_TO,
            (True, ALLOWED, 1),
            id="rates: up to the least of two",
        ),
        pytest.param([], [rate_usage(WATCHED, 2)], 9, ALL, (True, ALLOWED, 9), id="shadow rate"),
        pytest.param(
            [],
            [rate_usage(WATCHED, 2)],
            9,
            UP_TO,
            (True, ALLOWED, 9),
            id="shadow rate does not cut",
        ),
        pytest.param(
            [usage(limit(amount=10), 10)],
            [rate_usage(BURST)],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="limit denies, rate does not",
        ),
        pytest.param(
            [usage(limit(amount=10))],
            [rate_usage(BURST, 20)],
            1,
            ALL,
            (False, LIMITED, 0),
            id="rate denies, limit does not",
        ),
        pytest.param(
            [usage(limit(amount=10), 3)],
            [rate_usage(BURST, 18)],
            9,
            UP_TO,
            (True, ALLOWED, 2),
            id="up to: rate has less than limit",
        ),
        pytest.param(
            [usage(limit(amount=10), 9)],
            [rate_usage(BURST, 18)],
            9,
            UP_TO,
            (True, ALLOWED, 1),
            id="up to: limit has less than rate",
        ),
        pytest.param(
            [usage(throttled(amount=10), 9)], [], 1, ALL, (True, ALLOWED, 1), id="throttle: within"
        ),
        pytest.param(
            [usage(throttled(amount=10), 10)],
            [],
            20,
            ALL,
            (True, ALLOWED, 20),
            id="throttle: past the amount as fast as the rate lets",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10)], [], 21, ALL, (False, LIMITED, 0), id="throttle: fast"
        ),
        pytest.param(
            [usage(throttled(amount=10), 7)],
            [],
            23,
            ALL,
            (True, ALLOWED, 23),
            id="throttle: only what lies above the amount meets the rate",
        ),
        pytest.param(
            [usage(throttled(amount=10), 7)], [], 24, ALL, (False, LIMITED, 0), id="throttle: +1"
        ),
        pytest.param(
            [usage(throttled(amount=10), 7, throttled=18)],
            [],
            9,
            UP_TO,
            (True, ALLOWED, 5),
            id="throttle: up to the rest and what the rate lets pass",
        ),
        pytest.param(
            [usage(throttled(amount=10), 90, throttled=20)],
            [],
            9,
            UP_TO,
            (False, LIMITED, 0),
            id="throttle: up to nothing",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10, throttled=20)],
            [],
            9,
            RECORD_ONLY,
            (True, LIMITED, 9),
            id="throttle: has happened",
        ),
        pytest.param(
            [usage(throttled(amount=10), 10), usage(limit(amount=10), 10)],
            [],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="throttle passes, hard denies",
        ),
        pytest.param(
            [usage(limit(amount=10), 12, carried=3)],
            [],
            1,
            ALL,
            (True, ALLOWED, 1),
            id="carried: beyond the amount",
        ),
        pytest.param(
            [usage(limit(amount=10), 12, carried=3)],
            [],
            2,
            ALL,
            (False, EXCEEDED, 0),
            id="carried: used up",
        ),
        pytest.param(
            [usage(limit(amount=10), 7, carried=3)],
            [],
            9,
            UP_TO,
            (True, ALLOWED, 6),
            id="carried: up to what is left of both",
        ),
        pytest.param(
            [usage(throttled(amount=10), 12, carried=3)],
            [],
            21,
            ALL,
            (True, ALLOWED, 21),
            id="carried: the rate begins behind it",
        ),
    ],
)
def test_outcome(
    usages: Usages, rates: Rates, quantity: int, mode: GrantMode, expected: tuple[bool, Reason, int]
) -> None:
    assert expected == outcome(decided(usages, rates, quantity, mode))
