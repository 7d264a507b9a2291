"""What `decide` reports beside its outcome: warnings, overage, shadow denials."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.limits.decide import decide, decide_unmetered
from sidecar.domain.limits.decision import Decision, ThresholdWarning
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage
from tests.support.build import NOW_US, SHADOW, SOFT, limit, usage

ALL: Final = GrantMode.ALL_OR_NOTHING
UP_TO: Final = GrantMode.UP_TO
RECORD_ONLY: Final = GrantMode.RECORD_ONLY


@pytest.mark.parametrize(
    ("amount", "used", "quantity", "percents", "expected"),
    [
        pytest.param(100, 0, 49, (50, 80, 100), (), id="below all"),
        pytest.param(100, 0, 50, (50, 80, 100), (50,), id="exactly"),
        pytest.param(100, 50, 1, (50, 80, 100), (), id="not again"),
        pytest.param(100, 49, 51, (50, 80, 100), (50, 80, 100), id="three at once"),
        pytest.param(100, 79, 1, (50, 80, 100), (80,), id="second"),
        pytest.param(3, 0, 2, (50, 80, 100), (50,), id="no rounding up: 2 of 3 is past 50 %"),
        pytest.param(3, 1, 1, (67,), (), id="no rounding: 2 of 3 is below 67 %"),
        pytest.param(100, 100, 50, (50, 80, 100, 150), (150,), id="past the amount"),
        pytest.param(0, 0, 5, (50, 80, 100), (), id="of 0 nothing is a part"),
        pytest.param(100, 60, 0, (50, 80, 100), (), id="nothing asked"),
        pytest.param(None, 0, 10**9, (50, 80, 100), (), id="unlimited"),
    ],
)
def test_warnings(
    amount: int | None,
    used: int,
    quantity: int,
    percents: tuple[int, ...],
    expected: tuple[int, ...],
) -> None:
    of = limit(amount=amount, enforcement=SOFT, warn=percents)
    decision = decide(quantity, ALL, [usage(of, used)], NOW_US)
    assert tuple(ThresholdWarning("monthly", p) for p in expected) == decision.warnings


def test_warnings_of_every_limit_in_their_order() -> None:
    usages = [usage(limit("a", 10), 4), usage(limit("b", 100), 4), usage(limit("c", 10, SOFT), 7)]
    expected = (ThresholdWarning("a", 50), ThresholdWarning("c", 80))
    assert expected == decide(1, ALL, usages, NOW_US).warnings


def test_a_denial_warns_of_nothing() -> None:
    assert () == decide(60, ALL, [usage(limit(amount=50))], NOW_US).warnings


def test_warnings_follow_what_was_granted() -> None:
    decision = decide(99, UP_TO, [usage(limit("a", 100)), usage(limit("b", 60))], NOW_US)
    expected = tuple(
        ThresholdWarning(*pair) for pair in [("a", 50), ("b", 50), ("b", 80), ("b", 100)]
    )
    assert expected == decision.warnings


@pytest.mark.parametrize(
    ("usages", "quantity", "expected"),
    [
        pytest.param([usage(limit(amount=10, enforcement=SOFT), 8)], 2, 0, id="within"),
        pytest.param([usage(limit(amount=10, enforcement=SOFT), 8)], 5, 3, id="partly"),
        pytest.param([usage(limit(amount=10, enforcement=SOFT), 15)], 5, 5, id="wholly"),
        pytest.param(
            [usage(limit("a", 10, SOFT), 8), usage(limit("b", 10, SOFT), 9)], 5, 4, id="largest"
        ),
        pytest.param([usage(limit(amount=0, enforcement=SOFT))], 5, 5, id="of 0"),
        pytest.param([usage(limit(amount=10, enforcement=SHADOW), 10)], 5, 0, id="shadow is none"),
    ],
)
def test_overage_of_the_request(usages: list[QuotaUsage], quantity: int, expected: int) -> None:
    assert expected == decide(quantity, ALL, usages, NOW_US).overage


def test_a_denied_request_has_no_overage() -> None:
    usages = [usage(limit("soft", 10, SOFT), 20), usage(limit("hard", 10), 10)]
    assert 0 == decide(5, ALL, usages, NOW_US).overage


@pytest.mark.parametrize(
    ("usages", "quantity", "mode", "expected"),
    [
        pytest.param([usage(limit("s", 10, SHADOW), 9)], 1, ALL, (), id="would have allowed"),
        pytest.param([usage(limit("s", 10, SHADOW), 9)], 2, ALL, ("s",), id="would have denied"),
        pytest.param(
            [usage(limit("s", 10, SHADOW), 9), usage(limit("h", 10), 10)],
            2,
            ALL,
            ("s",),
            id="also where another denies",
        ),
        pytest.param(
            [usage(limit("s", 10, SHADOW), 10), usage(limit("t", 1, SHADOW))],
            2,
            ALL,
            ("s", "t"),
            id="several",
        ),
        pytest.param(
            [usage(limit("s", 10, SHADOW), 10), usage(limit("h", 10), 5)],
            9,
            UP_TO,
            ("s",),
            id="up to: nothing left",
        ),
        pytest.param(
            [usage(limit("s", 10, SHADOW), 2), usage(limit("h", 10), 5)],
            9,
            UP_TO,
            (),
            id="up to: what was granted fits",
        ),
    ],
)
def test_shadow_denials(
    usages: list[QuotaUsage], quantity: int, mode: GrantMode, expected: tuple[str, ...]
) -> None:
    assert expected == decide(quantity, mode, usages, NOW_US).shadow_denials


def test_asking_for_all_there_is_gets_what_is_left() -> None:
    decision = decide(INT64_MAX, UP_TO, [usage(limit(amount=10), 4)], NOW_US)
    assert (True, Reason.ALLOWED, 6) == (decision.allowed, decision.reason, decision.granted)


@pytest.mark.parametrize("reason", list(Reason))
def test_where_nothing_is_counted_the_reason_decides(reason: Reason) -> None:
    assert Decision(reason is Reason.ALLOWED, reason, 0) == decide_unmetered(reason)
