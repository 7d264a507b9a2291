"""What `decide` answers near 2^63: no request is refused for the size of a number."""

from __future__ import annotations

from typing import Final, NamedTuple

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage, overage, remaining
from tests.support.build import HARD, NOW_US, SHADOW, SOFT, limit, throttled, usage

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
RECORD_ONLY: Final = GrantMode.RECORD_ONLY
ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED

MOST: Final = INT64_MAX
NEARLY: Final = INT64_MAX - 3


class Expected(NamedTuple):
    """What comes of a request, and what the limit that is named shows after it."""

    allowed: bool
    reason: Reason
    granted: int
    overage: int
    used: int
    remaining: int | None
    above: int


@pytest.mark.parametrize(
    ("of", "quantity", "mode", "expected"),
    [
        pytest.param(
            usage(limit(amount=None), NEARLY),
            9,
            ALL,
            Expected(True, ALLOWED, 9, 0, MOST, None, 0),
            id="unlimited goes on",
        ),
        pytest.param(
            usage(limit(amount=None), MOST),
            MOST,
            ALL,
            Expected(True, ALLOWED, MOST, 0, MOST, None, 0),
            id="unlimited goes on with the most that can be asked",
        ),
        pytest.param(
            usage(limit(amount=None), 7),
            MOST - 7,
            ALL,
            Expected(True, ALLOWED, MOST - 7, 0, MOST, None, 0),
            id="unlimited up to the last unit that is shown",
        ),
        pytest.param(
            usage(limit(amount=10, enforcement=SOFT), MOST),
            5,
            ALL,
            Expected(True, ALLOWED, 5, 5, MOST, 0, MOST - 10),
            id="soft goes on, all of it overage",
        ),
        pytest.param(
            usage(limit(amount=MOST, enforcement=SOFT), NEARLY),
            5,
            ALL,
            Expected(True, ALLOWED, 5, 2, MOST, 0, 0),
            id="soft of the greatest amount: overage is what lies above it",
        ),
        pytest.param(
            usage(throttled(amount=10), MOST),
            1,
            ALL,
            Expected(True, ALLOWED, 1, 0, MOST, 0, MOST - 10),
            id="throttled goes on at its rate",
        ),
        pytest.param(
            usage(throttled(amount=10), MOST),
            MOST,
            ALL,
            Expected(False, Reason.RATE_LIMITED, 0, 0, MOST, 0, MOST - 10),
            id="throttled denies what its rate does not hold",
        ),
        pytest.param(
            usage(limit(amount=10), MOST),
            1,
            ALL,
            Expected(False, EXCEEDED, 0, 0, MOST, 0, MOST - 10),
            id="hard denies",
        ),
        pytest.param(
            usage(limit(amount=MOST), MOST),
            1,
            ALL,
            Expected(False, EXCEEDED, 0, 0, MOST, 0, 0),
            id="hard of the greatest amount denies",
        ),
        pytest.param(
            usage(limit(amount=MOST), NEARLY),
            9,
            UP_TO,
            Expected(True, ALLOWED, 3, 0, MOST, 0, 0),
            id="hard of the greatest amount grants what is left",
        ),
        pytest.param(
            usage(limit(amount=10, enforcement=SHADOW), MOST),
            5,
            ALL,
            Expected(True, ALLOWED, 5, 0, MOST, 0, MOST - 10),
            id="shadow reports",
        ),
        pytest.param(
            usage(limit(amount=10, enforcement=HARD), MOST),
            MOST,
            RECORD_ONLY,
            Expected(True, EXCEEDED, MOST, 0, MOST, 0, MOST - 10),
            id="what has happened is recorded past hard",
        ),
        pytest.param(
            usage(limit(amount=None), MOST),
            MOST,
            RECORD_ONLY,
            Expected(True, ALLOWED, MOST, 0, MOST, None, 0),
            id="what has happened is recorded where it is unlimited",
        ),
    ],
)
def test_outcome_near_the_bound(
    of: QuotaUsage, quantity: int, mode: GrantMode, expected: Expected
) -> None:
    decision = decide(quantity, mode, [of], NOW_US)
    named = decision.binding
    assert named is not None
    shown = named.used, remaining(named), overage(named)
    assert expected == Expected(
        decision.allowed, decision.reason, decision.granted, decision.overage, *shown
    )
    shadows = (named.id,) if named.enforcement is SHADOW else ()
    assert shadows == decision.shadow_denials


@pytest.mark.parametrize("mode", [ALL, UP_TO, RECORD_ONLY])
def test_another_limit_decides_as_ever_beside_one_that_is_at_the_bound(mode: GrantMode) -> None:
    usages = [usage(limit("free", None), MOST), usage(limit("daily", 10, SOFT), 4)]
    decision = decide(3, mode, usages, NOW_US)
    assert (True, "daily", 7) == (
        decision.allowed,
        decision.binding and decision.binding.id,
        decision.binding and decision.binding.used,
    )
