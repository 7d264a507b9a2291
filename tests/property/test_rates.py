"""Rates agree with a model in fractions: theoretical arrival times, as GCRA is usually written.

The model never counts units in a bucket: it keeps by how much the arrival time of the next unit, if
they came one after the other without a pause, lies ahead of the clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import RATE_PERIOD_US_MIN
from sidecar.domain.catalog.model import EntitlementGrant, Rate
from sidecar.domain.limits.rates import Bucket, empties_us, filled, late_us, level_at, room, wait_us
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from tests.support.build import NOW_US, TEN_A_SECOND, catalog, company, rate_limit
from tests.support.inside import Inside

_PERIODS: Final = st.sampled_from([RATE_PERIOD_US_MIN, 1_001, 7_919, 60_000_000]) | st.integers(
    RATE_PERIOD_US_MIN, 100_000
)
_RATES: Final = st.builds(Rate, st.integers(1, 40), _PERIODS, st.integers(1, 30))


class _Ask(NamedTuple):
    """`steps_us`: how far the clock moves before; `age_us`: how long ago it happened."""

    step_us: int
    quantity: int
    age_us: int = 0
    has_happened: bool = False


class _Move(NamedTuple):
    """As `_Ask`, through the engine; `set_back_us`: by how much the clock is, just before."""

    step_us: int
    quantity: int
    age_us: int
    set_back_us: int


_QUANTITIES: Final = st.integers(0, 40)
_FORWARD: Final = st.builds(_Ask, st.integers(0, 20_000), _QUANTITIES, st.just(0), st.just(False))
_ANYHOW: Final = st.builds(
    _Ask,
    st.integers(-20_000, 20_000),
    _QUANTITIES,
    st.sampled_from([0, 0, 1, 5_000]) | st.integers(-1_000, 50_000),
    st.booleans(),
)


class _Model:
    """Theoretical arrival times, in exact fractions of microseconds."""

    def __init__(self, rate: Rate) -> None:
        self._unit_us = Fraction(rate.period_us, rate.count)
        self._tolerance_us = rate.burst * self._unit_us
        self._ahead_us: Fraction | None = None
        self._seen_us = 0

    def asks(self, ask: _Ask, now_us: int) -> bool:
        """Whether it conforms; it is counted if it does, or if it has happened."""
        ahead_us = Fraction(min(0, -ask.age_us) if ask.has_happened else 0)
        if self._ahead_us is not None:
            ahead_us = max(ahead_us, self._ahead_us - max(0, now_us - self._seen_us))
        asked_us = ask.quantity * self._unit_us
        conforms = ask.quantity == 0 or max(ahead_us, Fraction(0)) + asked_us <= self._tolerance_us
        ahead_us += asked_us
        if ask.quantity and (conforms or ask.has_happened):
            self._ahead_us, self._seen_us = ahead_us, now_us
        return conforms


class _Integers:
    """The same by the functions of `rates`."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.bucket: Bucket | None = None

    def level(self, now_us: int, age_us: int = 0) -> int:
        return level_at(self.bucket, self.rate, now_us, now_us - age_us)

    def asks(self, ask: _Ask, now_us: int) -> bool:
        level = self.level(now_us, ask.age_us if ask.has_happened else 0)
        conforms = ask.quantity <= room(self.rate, level)
        if ask.quantity and (conforms or ask.has_happened):
            self.bucket = Bucket(filled(self.rate, level, ask.quantity), now_us)
        return conforms


def rated_sidecar() -> Inside:
    """A sidecar with a feature under a rate of 10 a second, 20 at once."""
    grant = EntitlementGrant("calls", rates=(rate_limit("burst"),))
    return Inside(catalog({"basic": [grant]}), company())


def _answers(asker: _Model | _Integers, asks: Sequence[_Ask]) -> list[bool]:
    now_us, found = NOW_US, []
    for ask in asks:
        now_us += ask.step_us
        found.append(asker.asks(ask, now_us))
    return found


@given(_RATES, st.lists(_ANYHOW, max_size=30))
def test_answers_agree_with_the_model(rate: Rate, asks: list[_Ask]) -> None:
    """Also where the clock is set back, reports come late, and usage that happened makes debts."""
    assert _answers(_Model(rate), asks) == _answers(_Integers(rate), asks)


@given(_RATES, st.lists(_ANYHOW, max_size=12), st.integers(1, 30))
def test_the_time_to_wait_is_exact(rate: Rate, asks: list[_Ask], quantity: int) -> None:
    """A microsecond earlier it would be denied; then it is not."""
    asked = _Integers(rate)
    now_us = NOW_US
    for ask in asks:
        now_us += ask.step_us
        asked.asks(ask, now_us)
    if asked.bucket is not None:
        now_us = max(now_us, asked.bucket.updated_us)  # a clock that was set back adds its part
    wait = wait_us(rate, asked.level(now_us), quantity)
    if wait is None:
        assert quantity > rate.burst
        return

    def passes(at_us: int) -> bool:
        return quantity <= room(rate, asked.level(at_us))

    assert passes(now_us + wait)
    if wait:
        assert not passes(now_us + wait - 1)


def _assert_bounded(rate: Rate, passed: Sequence[tuple[int, int]]) -> None:
    """Between any two instants no more passed than the burst and what flowed in meanwhile."""
    for first, (from_us, _) in enumerate(passed):
        total = 0
        for until_us, quantity in passed[first:]:
            total += quantity
            flowed = Fraction(rate.count * (until_us - from_us), rate.period_us)
            assert total <= rate.burst + flowed


@given(_RATES, st.lists(_FORWARD, max_size=40))
def test_no_interval_has_more_than_burst_and_inflow(rate: Rate, asks: list[_Ask]) -> None:
    asked, now_us, passed = _Integers(rate), NOW_US, []
    for ask in asks:
        now_us += ask.step_us
        if asked.asks(ask, now_us):
            passed.append((now_us, ask.quantity))
    _assert_bounded(rate, passed)


_MOVES: Final = st.builds(
    _Move,
    st.integers(0, 300_000),
    st.integers(1, 25),
    st.sampled_from([0, 0, 1, 100 * SECOND_US, 3 * HOUR_US]) | st.integers(0, 30 * DAY_US),
    st.sampled_from([0] * 6 + [1, SECOND_US, 30 * SECOND_US, DAY_US]),
)


@given(st.lists(_MOVES, max_size=30))
def test_neither_stamps_nor_a_clock_that_is_set_back_let_more_pass_or_make_waits_untrue(
    moves: list[_Move],
) -> None:
    """Through the engine and its store. What passes, and when, is held against the real time."""
    sidecar = rated_sidecar()
    rate, real_us, passed = TEN_A_SECOND, 0, []
    for move in moves:
        real_us += move.step_us
        sidecar.now_us += move.step_us - move.set_back_us
        for _ in range(2):
            told = sidecar.decide(move.quantity, at_us=sidecar.now_us - move.age_us).decision
            if told.allowed:
                passed.append((real_us, move.quantity))
                break
            if move.quantity > rate.burst:
                assert not told.HasField("retry_after")
                break
            wait = told.retry_after.ToMicroseconds()
            assert 0 < wait <= rate.burst * rate.period_us // rate.count
            real_us += wait
            sidecar.now_us += wait
        else:
            raise AssertionError("denied after the wait that was told")
    _assert_bounded(rate, passed)


@given(_RATES.filter(lambda rate: rate.burst > 1), st.integers(1, 60))
def test_one_who_waits_as_told_gets_every_unit_as_soon_as_it_is_there(
    rate: Rate, units: int
) -> None:
    """No drift: the n-th unit behind the burst comes n emission intervals after the start.

    With a burst of 1 the bucket is empty each time, and stays so for a part of a microsecond.
    """
    asked, now_us, came = _Integers(rate), NOW_US, []
    for _ in range(rate.burst + units):
        wait = wait_us(rate, asked.level(now_us), 1)
        assert wait is not None
        now_us += wait
        assert asked.asks(_Ask(0, 1), now_us)
        came.append(now_us - NOW_US)
    whole = [-(-number * rate.period_us // rate.count) for number in range(1, units + 1)]
    assert [0] * rate.burst + whole == came


@given(_RATES, st.lists(_ANYHOW, max_size=12), st.integers(0, 100_000))
def test_a_bucket_that_may_be_forgotten_decides_like_one_that_was_never_used(
    rate: Rate, asks: list[_Ask], age_us: int
) -> None:
    asked = _Integers(rate)
    now_us = NOW_US
    for ask in asks:
        now_us += ask.step_us
        asked.asks(ask, now_us)
    if asked.bucket is None:
        return
    over_us = empties_us(rate, asked.bucket.level, asked.bucket.updated_us) + late_us(rate)
    age_us = min(age_us, late_us(rate))
    assert level_at(None, rate, over_us, over_us - age_us) == asked.level(over_us, age_us)
