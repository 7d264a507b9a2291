"""`decide` agrees with a model that is written from the rules, one limit and one unit at a time.

The model never does arithmetic across limits: it asks of one quantity after the other whether every
limit would let it pass, where the code takes minima.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog import Limit
from sidecar.domain.decide import decide
from sidecar.domain.decision import Gauge, GrantMode, Reason
from tests.support.build import DAY, HARD, LIFETIME, MONTH, NOW_US, SHADOW, SOFT, gauge, limit

_AMOUNTS: Final = st.none() | st.integers(0, 12)
_PERCENTS: Final = st.lists(st.integers(1, 250), min_size=1, max_size=4, unique=True).map(
    lambda percents: tuple(sorted(percents))
)


@st.composite
def _gauges(draw: st.DrawFn) -> list[Gauge]:
    count = draw(st.integers(0, 4))
    return [
        gauge(
            limit(
                f"limit {at}",
                draw(_AMOUNTS),
                draw(st.sampled_from([HARD, SOFT, SHADOW])),
                draw(st.sampled_from([DAY, MONTH, LIFETIME])),
                warn=draw(_PERCENTS),
            ),
            draw(st.integers(0, 15)),
        )
        for at in range(count)
    ]


def _fits(of: Limit, used: int, quantity: int) -> bool:
    return quantity == 0 or of.amount is None or used + quantity <= of.amount


def _model_granted(quantity: int, mode: GrantMode, gauges: Sequence[Gauge]) -> int | None:
    """Most that may be granted; `None` for a denial."""
    if mode is GrantMode.REGARDLESS:
        return quantity
    least = min(quantity, 1) if mode is GrantMode.UP_TO else quantity
    for candidate in range(quantity, least - 1, -1):
        hard = [g for g in gauges if g.limit.enforcement is HARD]
        if all(_fits(g.limit, g.used, candidate) for g in hard):
            return candidate
    return None


def _model_overage(granted: int, gauges: Sequence[Gauge]) -> int:
    """Units of the request, counted one by one, that land above a SOFT limit."""
    most = 0
    for g in gauges:
        if g.limit.enforcement is SOFT and g.limit.amount is not None:
            units = range(g.used + 1, g.used + granted + 1)
            most = max(most, sum(1 for unit in units if unit > g.limit.amount))
    return most


def _model_warnings(granted: int, gauges: Sequence[Gauge]) -> list[tuple[str, int]]:
    crossed = []
    for g in gauges:
        for percent in g.limit.warning_percents if g.limit.amount else ():
            reached = [(g.used + n) * 100 >= (g.limit.amount or 0) * percent for n in (0, granted)]
            if reached == [False, True]:
                crossed.append((g.limit.id, percent))
    return crossed


@settings(max_examples=400)
@given(_gauges(), st.integers(0, 14), st.sampled_from(list(GrantMode)))
def test_outcome_agrees_with_the_model(gauges: list[Gauge], quantity: int, mode: GrantMode) -> None:
    decision = decide(quantity, mode, gauges, NOW_US)
    granted = _model_granted(quantity, mode, gauges)
    assert (granted is not None, granted or 0) == (decision.allowed, decision.granted)
    assert _model_overage(decision.granted, gauges) == decision.overage
    warnings = [(warning.limit, warning.percent) for warning in decision.warnings]
    assert _model_warnings(decision.granted, gauges) == warnings


@settings(max_examples=400)
@given(_gauges(), st.integers(0, 14), st.sampled_from(list(GrantMode)))
def test_reason_and_shadow_denials_agree_with_the_model(
    gauges: list[Gauge], quantity: int, mode: GrantMode
) -> None:
    decision = decide(quantity, mode, gauges, NOW_US)
    checked = GrantMode.ALL_OR_NOTHING if mode is GrantMode.REGARDLESS else mode
    within = _model_granted(quantity, checked, gauges) is not None
    assert (Reason.ALLOWED if within else Reason.LIMIT_EXCEEDED) == decision.reason
    tried = decision.granted or (min(quantity, 1) if mode is GrantMode.UP_TO else quantity)
    shadows = [g for g in gauges if g.limit.enforcement is SHADOW]
    expected = [g.limit.id for g in shadows if not _fits(g.limit, g.used, tried)]
    assert expected == list(decision.shadow_denials)


@settings(max_examples=400)
@given(_gauges(), st.integers(1, 14), st.sampled_from(list(GrantMode)))
def test_retry_after_is_when_the_same_request_is_allowed(
    gauges: list[Gauge], quantity: int, mode: GrantMode
) -> None:
    """Waits that long on the gauges: windows that have ended by then are empty."""
    decision = decide(quantity, mode, gauges, NOW_US)
    if decision.allowed:
        assert decision.retry_after_us is None
        return
    ends = sorted({g.window.end_us for g in gauges})
    expected = None
    for end_us in ends:
        later = [
            Gauge(g.limit, g.window, 0 if g.window.end_us <= end_us else g.used) for g in gauges
        ]
        if end_us < FOREVER_US and decide(quantity, mode, later, end_us).allowed:
            expected = end_us - NOW_US
            break
    assert expected == decision.retry_after_us


@settings(max_examples=400)
@given(_gauges(), st.integers(0, 14), st.sampled_from(list(GrantMode)))
def test_binding_limit_is_one_that_applies(
    gauges: list[Gauge], quantity: int, mode: GrantMode
) -> None:
    decision = decide(quantity, mode, gauges, NOW_US)
    binding = decision.binding
    if not gauges:
        assert binding is None
        return
    assert binding is not None
    of = next(g for g in gauges if g.limit.id == binding.limit.id)
    assert of.used + decision.granted == binding.used
    finite = [g for g in gauges if g.limit.amount is not None]
    if not decision.allowed:
        assert of.limit.enforcement is HARD
    elif finite:
        enforced = [g for g in finite if g.limit.enforcement is not SHADOW] or finite
        assert of in enforced
        assert min(map(_left, enforced)) == _left(of)


def _left(of: Gauge) -> int:
    return (of.limit.amount or 0) - of.used
