"""What `decide` answers, by outcome. The limits' windows hold 15 March 2026, 12:00 UTC."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage, overage, remaining
from sidecar.domain.time.units import DAY_US, SECOND_US
from sidecar.domain.time.windows import Window
from tests.support.build import DAY, HARD, LIFETIME, NOW_US, SHADOW, SOFT, limit, usage

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
RECORD_ONLY: Final = GrantMode.RECORD_ONLY

TO_MIDNIGHT_US: Final = DAY_US // 2
TO_APRIL_US: Final = 16 * DAY_US + DAY_US // 2


def outcome(decision: Decision) -> tuple[bool, Reason, int]:
    return decision.allowed, decision.reason, decision.granted


ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED


@pytest.mark.parametrize(
    ("usages", "quantity", "mode", "expected"),
    [
        pytest.param([], 5, ALL, (True, ALLOWED, 5), id="no limit applies"),
        pytest.param([usage(limit(amount=10), 9)], 1, ALL, (True, ALLOWED, 1), id="last unit"),
        pytest.param([usage(limit(amount=10), 9)], 2, ALL, (False, EXCEEDED, 0), id="one too many"),
        pytest.param(
            [usage(limit(amount=10), 10)], 1, ALL, (False, EXCEEDED, 0), id="nothing left"
        ),
        pytest.param([usage(limit(amount=10), 10)], 0, ALL, (True, ALLOWED, 0), id="nothing asked"),
        pytest.param([usage(limit(amount=0))], 1, ALL, (False, EXCEEDED, 0), id="amount of 0"),
        pytest.param([usage(limit(amount=0))], 0, ALL, (True, ALLOWED, 0), id="0 of 0"),
        pytest.param([usage(limit(amount=10), 12)], 0, ALL, (True, ALLOWED, 0), id="0 when above"),
        pytest.param(
            [usage(limit(amount=None), 10**12)],
            10**12,
            ALL,
            (True, ALLOWED, 10**12),
            id="unlimited",
        ),
        pytest.param(
            [usage(limit(amount=10, enforcement=SOFT), 10)], 5, ALL, (True, ALLOWED, 5), id="soft"
        ),
        pytest.param(
            [usage(limit(amount=10, enforcement=SHADOW), 10)],
            5,
            ALL,
            (True, ALLOWED, 5),
            id="shadow never denies",
        ),
        pytest.param(
            [usage(limit("a", 100), 1), usage(limit("b", 10), 10)],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="one of two denies",
        ),
        pytest.param(
            [usage(limit("a", 100), 1), usage(limit("b", 10), 3)],
            7,
            ALL,
            (True, ALLOWED, 7),
            id="both have room",
        ),
        pytest.param(
            [usage(limit("a", 9, SOFT), 9), usage(limit("b", 10), 10)],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="soft passes, hard denies",
        ),
        pytest.param([usage(limit(amount=10), 7)], 9, UP_TO, (True, ALLOWED, 3), id="what is left"),
        pytest.param([usage(limit(amount=10), 7)], 2, UP_TO, (True, ALLOWED, 2), id="all there"),
        pytest.param(
            [usage(limit(amount=10), 10)], 9, UP_TO, (False, EXCEEDED, 0), id="up to, nothing left"
        ),
        pytest.param(
            [usage(limit("a", 10), 7), usage(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 3),
            id="least of two",
        ),
        pytest.param(
            [usage(limit("a", 10, SOFT), 9), usage(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 5),
            id="soft does not cut",
        ),
        pytest.param(
            [usage(limit("a", 10, SHADOW), 9), usage(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 5),
            id="shadow does not cut",
        ),
        pytest.param([usage(limit(amount=10), 12)], 5, ALL, (False, EXCEEDED, 0), id="lowered"),
        pytest.param([usage(limit(amount=10), 12)], 5, UP_TO, (False, EXCEEDED, 0), id="lowered2"),
        pytest.param(
            [usage(limit(amount=10), 10)], 5, RECORD_ONLY, (True, EXCEEDED, 5), id="has happened"
        ),
        pytest.param(
            [usage(limit(amount=10), 1)], 5, RECORD_ONLY, (True, ALLOWED, 5), id="happened within"
        ),
        pytest.param(
            [usage(limit(amount=10, enforcement=SOFT), 10)],
            5,
            RECORD_ONLY,
            (True, ALLOWED, 5),
            id="happened past soft",
        ),
    ],
)
def test_outcome(
    usages: list[QuotaUsage], quantity: int, mode: GrantMode, expected: tuple[bool, Reason, int]
) -> None:
    assert expected == outcome(decide(quantity, mode, usages, NOW_US))


def test_allowed_shows_the_usage_after_it() -> None:
    decision = decide(3, ALL, [usage(limit(amount=10), 4)], NOW_US)
    assert usage(limit(amount=10), 7) == decision.binding
    assert 3 == remaining(decision.binding)
    assert 0 == overage(decision.binding)


def test_denied_shows_the_usage_as_it_is() -> None:
    decision = decide(7, ALL, [usage(limit(amount=10), 4)], NOW_US)
    assert usage(limit(amount=10), 4) == decision.binding
    assert 6 == remaining(decision.binding)


def test_usage_above_a_lowered_limit_shows_no_negative() -> None:
    decision = decide(1, ALL, [usage(limit(amount=10), 14)], NOW_US)
    assert isinstance(decision.binding, QuotaUsage)
    assert (0, 4) == (remaining(decision.binding), overage(decision.binding))


@pytest.mark.parametrize(
    ("usages", "quantity", "mode", "expected"),
    [
        pytest.param([], 1, ALL, None, id="none applied"),
        pytest.param(
            [usage(limit("wide", 100), 1), usage(limit("tight", 10), 1)],
            1,
            ALL,
            "tight",
            id="allowed: least left",
        ),
        pytest.param(
            [usage(limit("shadow", 5, SHADOW)), usage(limit("hard", 100))],
            1,
            ALL,
            "hard",
            id="allowed: shadow only where there is no other",
        ),
        pytest.param(
            [usage(limit("shadow", 5, SHADOW))], 1, ALL, "shadow", id="allowed: only a shadow"
        ),
        pytest.param(
            [usage(limit("free", None)), usage(limit("soft", 50, SOFT), 60)],
            1,
            ALL,
            "soft",
            id="allowed: unlimited has more left than any",
        ),
        pytest.param([usage(limit("free", None))], 1, ALL, "free", id="allowed: only unlimited"),
        pytest.param(
            [usage(limit("roomy", 100)), usage(limit("full", 10), 10)],
            1,
            ALL,
            "full",
            id="denied: who denies",
        ),
        pytest.param(
            [usage(limit("month", 10), 10), usage(limit("day", 10, HARD, DAY), 10)],
            1,
            ALL,
            "month",
            id="denied: who resets last",
        ),
        pytest.param(
            [usage(limit("day", 10, HARD, DAY), 10), usage(limit("ever", 10, HARD, LIFETIME), 10)],
            1,
            ALL,
            "ever",
            id="denied: lifetime resets never",
        ),
        pytest.param(
            [usage(limit("month", 10), 5), usage(limit("day", 10, HARD, DAY), 10)],
            9,
            UP_TO,
            "day",
            id="denied up to: who has nothing left, not who has less than asked",
        ),
    ],
)
def test_binding_limit(
    usages: list[QuotaUsage], quantity: int, mode: GrantMode, expected: str | None
) -> None:
    binding = decide(quantity, mode, usages, NOW_US).binding
    assert expected == (None if binding is None else binding.limit.id)


@pytest.mark.parametrize(
    ("usages", "quantity", "mode", "expected"),
    [
        pytest.param([usage(limit(amount=10), 3)], 1, ALL, None, id="allowed"),
        pytest.param([usage(limit(amount=10), 10)], 1, ALL, TO_APRIL_US, id="next window"),
        pytest.param(
            [usage(limit(amount=10), 10), usage(limit("day", 5, HARD, DAY), 5)],
            1,
            ALL,
            TO_APRIL_US,
            id="the last window to end",
        ),
        pytest.param(
            [usage(limit(amount=10), 3), usage(limit("day", 5, HARD, DAY), 5)],
            1,
            ALL,
            TO_MIDNIGHT_US,
            id="only of the limits that deny",
        ),
        pytest.param([usage(limit(amount=10))], 11, ALL, None, id="more than a whole window has"),
        pytest.param(
            [usage(limit(amount=10), 5), usage(limit("day", 6, HARD, DAY), 5)],
            7,
            ALL,
            None,
            id="more than the other limit's whole window has",
        ),
        pytest.param([usage(limit(amount=0))], 1, ALL, None, id="amount of 0"),
        pytest.param([usage(limit(amount=10), 10)], 99, UP_TO, TO_APRIL_US, id="up to: 1 will do"),
        pytest.param([usage(limit(amount=0))], 99, UP_TO, None, id="up to: of 0"),
        pytest.param(
            [usage(limit("month", 10), 5), usage(limit("day", 10, HARD, DAY), 10)],
            9,
            UP_TO,
            TO_MIDNIGHT_US,
            id="up to: of the limit that has nothing left",
        ),
        pytest.param([usage(limit(amount=9, window=LIFETIME), 9)], 1, ALL, None, id="lifetime"),
    ],
)
def test_retry_after(
    usages: list[QuotaUsage], quantity: int, mode: GrantMode, expected: int | None
) -> None:
    assert expected == decide(quantity, mode, usages, NOW_US).retry_after_us


def test_a_window_that_has_ended_gives_no_retry_after() -> None:
    """Late usage lands in its own window: no wait makes room there."""
    february = Window(NOW_US - 40 * DAY_US, NOW_US - 14 * DAY_US)
    decision = decide(1, ALL, [QuotaUsage(limit(amount=10), february, 10)], NOW_US)
    assert (False, None) == (decision.allowed, decision.retry_after_us)


def test_a_window_of_the_near_future_ends_that_much_later() -> None:
    window = Window(NOW_US + SECOND_US, NOW_US + 61 * SECOND_US)
    decision = decide(1, ALL, [QuotaUsage(limit(amount=10), window, 10)], NOW_US)
    assert 61 * SECOND_US == decision.retry_after_us
