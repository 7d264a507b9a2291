"""What `decide` answers, by outcome. The limits' windows hold 15 March 2026, 12:00 UTC."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import DAY_US, SECOND_US
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision, Gauge, GrantMode, Reason, overage, remaining
from sidecar.domain.time.windows import Window
from tests.support.build import DAY, HARD, LIFETIME, NOW_US, SHADOW, SOFT, gauge, limit

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
REGARDLESS: Final = GrantMode.REGARDLESS

TO_MIDNIGHT_US: Final = DAY_US // 2
TO_APRIL_US: Final = 16 * DAY_US + DAY_US // 2


def outcome(decision: Decision) -> tuple[bool, Reason, int]:
    return decision.allowed, decision.reason, decision.granted


ALLOWED: Final = Reason.ALLOWED
EXCEEDED: Final = Reason.LIMIT_EXCEEDED


@pytest.mark.parametrize(
    ("gauges", "quantity", "mode", "expected"),
    [
        pytest.param([], 5, ALL, (True, ALLOWED, 5), id="no limit applies"),
        pytest.param([gauge(limit(amount=10), 9)], 1, ALL, (True, ALLOWED, 1), id="last unit"),
        pytest.param([gauge(limit(amount=10), 9)], 2, ALL, (False, EXCEEDED, 0), id="one too many"),
        pytest.param(
            [gauge(limit(amount=10), 10)], 1, ALL, (False, EXCEEDED, 0), id="nothing left"
        ),
        pytest.param([gauge(limit(amount=10), 10)], 0, ALL, (True, ALLOWED, 0), id="nothing asked"),
        pytest.param([gauge(limit(amount=0))], 1, ALL, (False, EXCEEDED, 0), id="amount of 0"),
        pytest.param([gauge(limit(amount=0))], 0, ALL, (True, ALLOWED, 0), id="0 of 0"),
        pytest.param([gauge(limit(amount=10), 12)], 0, ALL, (True, ALLOWED, 0), id="0 when above"),
        pytest.param(
            [gauge(limit(amount=None), 10**12)],
            10**12,
            ALL,
            (True, ALLOWED, 10**12),
            id="unlimited",
        ),
        pytest.param(
            [gauge(limit(amount=10, enforcement=SOFT), 10)], 5, ALL, (True, ALLOWED, 5), id="soft"
        ),
        pytest.param(
            [gauge(limit(amount=10, enforcement=SHADOW), 10)],
            5,
            ALL,
            (True, ALLOWED, 5),
            id="shadow never denies",
        ),
        pytest.param(
            [gauge(limit("a", 100), 1), gauge(limit("b", 10), 10)],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="one of two denies",
        ),
        pytest.param(
            [gauge(limit("a", 100), 1), gauge(limit("b", 10), 3)],
            7,
            ALL,
            (True, ALLOWED, 7),
            id="both have room",
        ),
        pytest.param(
            [gauge(limit("a", 9, SOFT), 9), gauge(limit("b", 10), 10)],
            1,
            ALL,
            (False, EXCEEDED, 0),
            id="soft passes, hard denies",
        ),
        pytest.param([gauge(limit(amount=10), 7)], 9, UP_TO, (True, ALLOWED, 3), id="what is left"),
        pytest.param([gauge(limit(amount=10), 7)], 2, UP_TO, (True, ALLOWED, 2), id="all there"),
        pytest.param(
            [gauge(limit(amount=10), 10)], 9, UP_TO, (False, EXCEEDED, 0), id="up to, nothing left"
        ),
        pytest.param(
            [gauge(limit("a", 10), 7), gauge(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 3),
            id="least of two",
        ),
        pytest.param(
            [gauge(limit("a", 10, SOFT), 9), gauge(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 5),
            id="soft does not cut",
        ),
        pytest.param(
            [gauge(limit("a", 10, SHADOW), 9), gauge(limit("b", 10), 5)],
            9,
            UP_TO,
            (True, ALLOWED, 5),
            id="shadow does not cut",
        ),
        pytest.param([gauge(limit(amount=10), 12)], 5, ALL, (False, EXCEEDED, 0), id="lowered"),
        pytest.param([gauge(limit(amount=10), 12)], 5, UP_TO, (False, EXCEEDED, 0), id="lowered2"),
        pytest.param(
            [gauge(limit(amount=10), 10)], 5, REGARDLESS, (True, EXCEEDED, 5), id="has happened"
        ),
        pytest.param(
            [gauge(limit(amount=10), 1)], 5, REGARDLESS, (True, ALLOWED, 5), id="happened within"
        ),
        pytest.param(
            [gauge(limit(amount=10, enforcement=SOFT), 10)],
            5,
            REGARDLESS,
            (True, ALLOWED, 5),
            id="happened past soft",
        ),
    ],
)
def test_outcome(
    gauges: list[Gauge], quantity: int, mode: GrantMode, expected: tuple[bool, Reason, int]
) -> None:
    assert expected == outcome(decide(quantity, mode, gauges, NOW_US))


def test_allowed_shows_the_usage_after_it() -> None:
    decision = decide(3, ALL, [gauge(limit(amount=10), 4)], NOW_US)
    assert gauge(limit(amount=10), 7) == decision.binding
    assert 3 == remaining(decision.binding)
    assert 0 == overage(decision.binding)


def test_denied_shows_the_usage_as_it_is() -> None:
    decision = decide(7, ALL, [gauge(limit(amount=10), 4)], NOW_US)
    assert gauge(limit(amount=10), 4) == decision.binding
    assert 6 == remaining(decision.binding)


def test_usage_above_a_lowered_limit_shows_no_negative() -> None:
    decision = decide(1, ALL, [gauge(limit(amount=10), 14)], NOW_US)
    assert isinstance(decision.binding, Gauge)
    assert (0, 4) == (remaining(decision.binding), overage(decision.binding))


@pytest.mark.parametrize(
    ("gauges", "quantity", "mode", "expected"),
    [
        pytest.param([], 1, ALL, None, id="none applied"),
        pytest.param(
            [gauge(limit("wide", 100), 1), gauge(limit("tight", 10), 1)],
            1,
            ALL,
            "tight",
            id="allowed: least left",
        ),
        pytest.param(
            [gauge(limit("shadow", 5, SHADOW)), gauge(limit("hard", 100))],
            1,
            ALL,
            "hard",
            id="allowed: shadow only where there is no other",
        ),
        pytest.param(
            [gauge(limit("shadow", 5, SHADOW))], 1, ALL, "shadow", id="allowed: only a shadow"
        ),
        pytest.param(
            [gauge(limit("free", None)), gauge(limit("soft", 50, SOFT), 60)],
            1,
            ALL,
            "soft",
            id="allowed: unlimited has more left than any",
        ),
        pytest.param([gauge(limit("free", None))], 1, ALL, "free", id="allowed: only unlimited"),
        pytest.param(
            [gauge(limit("roomy", 100)), gauge(limit("full", 10), 10)],
            1,
            ALL,
            "full",
            id="denied: who denies",
        ),
        pytest.param(
            [gauge(limit("month", 10), 10), gauge(limit("day", 10, HARD, DAY), 10)],
            1,
            ALL,
            "month",
            id="denied: who resets last",
        ),
        pytest.param(
            [gauge(limit("day", 10, HARD, DAY), 10), gauge(limit("ever", 10, HARD, LIFETIME), 10)],
            1,
            ALL,
            "ever",
            id="denied: lifetime resets never",
        ),
        pytest.param(
            [gauge(limit("month", 10), 5), gauge(limit("day", 10, HARD, DAY), 10)],
            9,
            UP_TO,
            "day",
            id="denied up to: who has nothing left, not who has less than asked",
        ),
    ],
)
def test_binding_limit(
    gauges: list[Gauge], quantity: int, mode: GrantMode, expected: str | None
) -> None:
    binding = decide(quantity, mode, gauges, NOW_US).binding
    assert expected == (None if binding is None else binding.limit.id)


@pytest.mark.parametrize(
    ("gauges", "quantity", "mode", "expected"),
    [
        pytest.param([gauge(limit(amount=10), 3)], 1, ALL, None, id="allowed"),
        pytest.param([gauge(limit(amount=10), 10)], 1, ALL, TO_APRIL_US, id="next window"),
        pytest.param(
            [gauge(limit(amount=10), 10), gauge(limit("day", 5, HARD, DAY), 5)],
            1,
            ALL,
            TO_APRIL_US,
            id="the last window to end",
        ),
        pytest.param(
            [gauge(limit(amount=10), 3), gauge(limit("day", 5, HARD, DAY), 5)],
            1,
            ALL,
            TO_MIDNIGHT_US,
            id="only of the limits that deny",
        ),
        pytest.param([gauge(limit(amount=10))], 11, ALL, None, id="more than a whole window has"),
        pytest.param(
            [gauge(limit(amount=10), 5), gauge(limit("day", 6, HARD, DAY), 5)],
            7,
            ALL,
            None,
            id="more than the other limit's whole window has",
        ),
        pytest.param([gauge(limit(amount=0))], 1, ALL, None, id="amount of 0"),
        pytest.param([gauge(limit(amount=10), 10)], 99, UP_TO, TO_APRIL_US, id="up to: 1 will do"),
        pytest.param([gauge(limit(amount=0))], 99, UP_TO, None, id="up to: of 0"),
        pytest.param(
            [gauge(limit("month", 10), 5), gauge(limit("day", 10, HARD, DAY), 10)],
            9,
            UP_TO,
            TO_MIDNIGHT_US,
            id="up to: of the limit that has nothing left",
        ),
        pytest.param([gauge(limit(amount=9, window=LIFETIME), 9)], 1, ALL, None, id="lifetime"),
    ],
)
def test_retry_after(
    gauges: list[Gauge], quantity: int, mode: GrantMode, expected: int | None
) -> None:
    assert expected == decide(quantity, mode, gauges, NOW_US).retry_after_us


def test_a_window_that_has_ended_gives_no_retry_after() -> None:
    """Late usage lands in its own window: no wait makes room there."""
    february = Window(NOW_US - 40 * DAY_US, NOW_US - 14 * DAY_US)
    decision = decide(1, ALL, [Gauge(limit(amount=10), february, 10)], NOW_US)
    assert (False, None) == (decision.allowed, decision.retry_after_us)


def test_a_window_of_the_near_future_ends_that_much_later() -> None:
    window = Window(NOW_US + SECOND_US, NOW_US + 61 * SECOND_US)
    decision = decide(1, ALL, [Gauge(limit(amount=10), window, 10)], NOW_US)
    assert 61 * SECOND_US == decision.retry_after_us
