"""`decide` agrees with a model that is written from the rules, one ceiling and one unit at a time.

The model never does arithmetic across limits: it asks of one quantity after the other whether every
ceiling would let it pass, where the code takes minima. Of rates it knows theoretical arrival times
in fractions, where the code has levels of buckets. When a ceiling lets pass it finds by trying the
instants at which anything about it changes.
"""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Final, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import Enforcement, Rate
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.usage import QuotaUsage
from tests.support.build import (
    DAY,
    HARD,
    LIFETIME,
    MONTH,
    NOW_US,
    SHADOW,
    SOFT,
    THROTTLE,
    limit,
    rate_limit,
    throttled,
    usage,
)

_AMOUNTS: Final = st.none() | st.integers(0, 12)
_WINDOWS: Final = st.sampled_from([DAY, MONTH, LIFETIME])
_PERCENTS: Final = st.lists(st.integers(1, 250), min_size=1, max_size=4, unique=True).map(
    lambda percents: tuple(sorted(percents))
)
_RATES: Final = st.builds(
    Rate,
    st.integers(1, 7),
    st.sampled_from([1_000, 7_919, 86_400_000_000, 20 * 86_400_000_000]),
    st.integers(1, 9),
)
_MODES: Final = st.sampled_from(GrantMode)


class _Case(NamedTuple):
    """A request, and everything that applies to it."""

    usages: list[QuotaUsage]
    rates: list[RateUsage]
    quantity: int
    mode: GrantMode

    def decide(self) -> Decision:
        return decide(self.quantity, self.mode, self.usages, NOW_US, self.rates)

    @property
    def needed(self) -> int:
        return min(self.quantity, 1) if self.mode is GrantMode.UP_TO else self.quantity

    @property
    def ceilings(self) -> list[_Ceiling]:
        applying: list[QuotaUsage | RateUsage] = [*self.usages, *self.rates]
        return [_Ceiling(of) for of in applying]


class _Ceiling:
    """A limit or a rate of the model."""

    def __init__(self, of: QuotaUsage | RateUsage) -> None:
        self.of = of
        self.name = of.limit.id
        self.enforcement = of.limit.enforcement
        self.denies = self.enforcement in (HARD, THROTTLE)
        rate = of.limit.rate if isinstance(of, RateUsage) else of.limit.throttle
        level = of.level if isinstance(of, RateUsage) else of.throttle_level
        self._unit_us = Fraction(rate.period_us, rate.count) if rate else Fraction(0)
        self._burst = rate.burst if rate else 0
        self._ahead_us = Fraction(level, rate.count) if rate else Fraction(0)

    def lets_pass(self, quantity: int, at_us: int = NOW_US) -> bool:
        """Whether a quantity would pass, if nothing else happens until then."""
        if quantity == 0:
            return True
        if isinstance(self.of, RateUsage):
            return self._conforms(quantity, at_us)
        amount = self.of.limit.amount
        if amount is None:
            return True
        over = self.of.window.end_us <= at_us
        used = 0 if over else self.of.used
        allowance = amount if over else amount + self.of.carried
        units = range(used + 1, used + quantity + 1)
        above = sum(1 for unit in units if unit > allowance)
        return above == 0 or (self.enforcement is THROTTLE and self._conforms(above, at_us))

    def left(self) -> int:
        """Most that passes."""
        most = 0
        while self.lets_pass(most + 1):
            most += 1
        return most

    def passes_us(self, quantity: int) -> int:
        """The first instant at which a quantity passes; FOREVER_US for never."""
        instants = {NOW_US}
        if isinstance(self.of, QuotaUsage) and self.of.window.end_us < FOREVER_US:
            instants.add(self.of.window.end_us)
        for units in range(1, quantity + 1):
            wait_us = ceil(self._ahead_us + (units - self._burst) * self._unit_us)
            instants.add(NOW_US + max(0, wait_us))
        passing = [at_us for at_us in instants if self.lets_pass(quantity, at_us)]
        return min(passing, default=FOREVER_US)

    def _conforms(self, quantity: int, at_us: int) -> bool:
        ahead_us = max(Fraction(0), self._ahead_us - (at_us - NOW_US))
        return ahead_us + quantity * self._unit_us <= self._burst * self._unit_us


@st.composite
def _usages(draw: st.DrawFn) -> list[QuotaUsage]:
    found = []
    for at in range(draw(st.integers(0, 4))):
        name, window, used = f"limit {at}", draw(_WINDOWS), draw(st.integers(0, 15))
        if draw(st.booleans()):
            of = throttled(name, draw(st.integers(0, 12)), draw(_RATES), window)
            filled = draw(st.integers(0, 12))
        else:
            enforcement = draw(st.sampled_from([HARD, SOFT, SHADOW]))
            of = limit(name, draw(_AMOUNTS), enforcement, window, warn=draw(_PERCENTS))
            filled = 0
        carried = draw(st.integers(0, 3)) if window is MONTH else 0
        found.append(usage(of, used, carried=carried, throttled=filled))
    return found


@st.composite
def _rate_usages(draw: st.DrawFn) -> list[RateUsage]:
    found = []
    for at in range(draw(st.integers(0, 3))):
        of = rate_limit(f"rate {at}", draw(_RATES), draw(st.sampled_from([HARD, SHADOW])))
        level = draw(st.integers(0, 12)) * of.rate.period_us + draw(st.integers(0, 999))
        found.append(RateUsage(of, level, NOW_US))
    return found


_CASES: Final = st.builds(_Case, _usages(), _rate_usages(), st.integers(0, 14), _MODES)


def _granted(case: _Case, mode: GrantMode) -> int | None:
    """Most that may be granted; `None` for a denial."""
    if mode is GrantMode.RECORD_ONLY:
        return case.quantity
    denying = [ceiling for ceiling in case.ceilings if ceiling.denies]
    for candidate in range(case.quantity, case.needed - 1, -1):
        if all(ceiling.lets_pass(candidate) for ceiling in denying):
            return candidate
    return None


def _above(of: QuotaUsage, granted: int) -> int:
    """Units of the request, counted one by one, that land above what may be used."""
    if of.ceiling is None:
        return 0
    return sum(1 for unit in range(of.used + 1, of.used + granted + 1) if unit > of.ceiling)


def _warnings(case: _Case, granted: int) -> list[tuple[str, int]]:
    crossed = []
    for g in case.usages:
        for percent in g.limit.warning_percents if g.ceiling else ():
            reached = [(g.used + n) * 100 >= (g.ceiling or 0) * percent for n in (0, granted)]
            if reached == [False, True]:
                crossed.append((g.limit.id, percent))
    return crossed


@settings(max_examples=400)
@given(_CASES)
def test_outcome_agrees_with_the_model(case: _Case) -> None:
    decision = case.decide()
    granted = _granted(case, case.mode)
    assert (granted is not None, granted or 0) == (decision.allowed, decision.granted)
    soft = [g for g in case.usages if g.limit.enforcement is SOFT]
    assert max((_above(g, decision.granted) for g in soft), default=0) == decision.overage
    warnings = [(warning.limit, warning.percent) for warning in decision.warnings]
    assert _warnings(case, decision.granted) == warnings


@settings(max_examples=400)
@given(_CASES)
def test_shadow_and_throttled_agree_with_the_model(case: _Case) -> None:
    decision = case.decide()
    tried = decision.granted or case.needed
    shadows = [ceiling for ceiling in case.ceilings if ceiling.enforcement is SHADOW]
    denied = [shadow.name for shadow in shadows if not shadow.lets_pass(tried)]
    assert denied == list(decision.shadow_denials)
    slowed = [
        g.limit.id
        for g in case.usages
        if g.limit.enforcement is THROTTLE
        and _above(g, decision.granted)
        and _Ceiling(g).lets_pass(case.needed)
    ]
    assert slowed == list(decision.throttled)


@settings(max_examples=600)
@given(_CASES)
def test_reason_binding_and_retry_after_of_a_denial_agree_with_the_model(case: _Case) -> None:
    """Named is the ceiling that lets pass last; waiting for it is waiting for all."""
    decision = case.decide()
    denying = [
        ceiling
        for ceiling in case.ceilings
        if ceiling.denies and not ceiling.lets_pass(case.needed)
    ]
    if not denying:
        assert (Reason.ALLOWED, None) == (decision.reason, decision.retry_after_us)
        return
    last_us = max(ceiling.passes_us(case.needed) for ceiling in denying)
    last = [ceiling for ceiling in denying if ceiling.passes_us(case.needed) == last_us]
    least = min(ceiling.left() for ceiling in last)
    named = [ceiling for ceiling in last if ceiling.left() == least]
    if case.mode is GrantMode.RECORD_ONLY:
        assert (True, None) == (decision.allowed, decision.retry_after_us)
        assert decision.reason in {_reason(ceiling) for ceiling in named}
        return
    assert decision.binding is not None
    (binding,) = [c for c in denying if c.name == decision.binding.limit.id]
    assert binding.name in {ceiling.name for ceiling in named}
    assert binding.of == decision.binding
    assert _reason(binding) == decision.reason
    expected = None if last_us == FOREVER_US else last_us - NOW_US
    assert expected == decision.retry_after_us


def _reason(ceiling: _Ceiling) -> Reason:
    hard_limit = isinstance(ceiling.of, QuotaUsage) and ceiling.enforcement is HARD
    return Reason.LIMIT_EXCEEDED if hard_limit else Reason.RATE_LIMITED


@settings(max_examples=400)
@given(_CASES)
def test_binding_limit_of_what_is_allowed_is_as_it_is_after_counting(case: _Case) -> None:
    decision = case.decide()
    if not decision.allowed:
        return
    binding, granted = decision.binding, decision.granted
    if not case.usages:
        if not case.rates:
            assert binding is None
            return
        assert isinstance(binding, RateUsage)
        (of,) = [r for r in case.rates if r.limit.id == binding.limit.id]
        assert of.after(granted).level == binding.level
        return
    assert isinstance(binding, QuotaUsage)
    (before,) = [g for g in case.usages if g.limit.id == binding.limit.id]
    assert before.used + granted == binding.used
    if before.limit.enforcement is THROTTLE:
        assert before.after(granted).throttle_level == binding.throttle_level
    finite = [g for g in case.usages if g.ceiling is not None]
    enforced = [g for g in finite if g.limit.enforcement is not SHADOW] or finite
    if enforced:
        assert before in enforced
        assert min(map(_room, enforced)) == _room(before)


def _room(of: QuotaUsage) -> int:
    return (of.ceiling or 0) - of.used


@settings(max_examples=400)
@given(_CASES)
def test_all_or_none_fills_every_bucket_that_lets_pass(case: _Case) -> None:
    """What a bucket holds afterwards is what it held, and every unit that meets its rate."""
    decision = case.decide()
    if not decision.allowed:
        return
    granted = decision.granted
    for rate in case.rates:
        skipped = rate.limit.enforcement is SHADOW and not _Ceiling(rate).lets_pass(granted)
        units = 0 if skipped else granted
        assert rate.level + units * rate.limit.rate.period_us == rate.after(granted).level
    for g in case.usages:
        if g.limit.throttle is not None:
            units = _above(g, granted)
            expected = g.throttle_level + units * g.limit.throttle.period_us
            assert expected == g.after(granted).throttle_level


def test_the_model_knows_every_enforcement() -> None:
    assert {HARD, SOFT, SHADOW, THROTTLE} == set(Enforcement)
