"""However shares of a rate move, all sidecars together pass no more than the rate does alone."""

from __future__ import annotations

from fractions import Fraction
from typing import Final, NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.catalog.model import Rate
from sidecar.domain.limits.rate_shares import fill_of, level_moved
from sidecar.domain.limits.rates import (
    WHOLE_PPM,
    Bucket,
    brim,
    conforms,
    empties_us,
    filled,
    level_at,
    wait_us,
)
from tests.support.build import NOW_US

_RATES: Final = st.builds(
    Rate, st.integers(1, 40), st.sampled_from([1_000, 7_919, 60_000_000]), st.integers(1, 30)
)
_SIDECARS: Final = 3


class _Ask(NamedTuple):
    step_us: int
    sidecar: int
    quantity: int


class _Move(NamedTuple):
    """So many millionths of what one goes by, to another."""

    step_us: int
    giver: int
    taker: int
    part_ppm: int


_STEPS: Final = st.integers(0, 50_000) | st.integers(0, 200_000_000)
_ASKS: Final = st.builds(_Ask, _STEPS, st.integers(0, _SIDECARS - 1), st.integers(1, 30))
_MOVES: Final = st.builds(
    _Move,
    _STEPS,
    st.integers(0, _SIDECARS - 1),
    st.integers(0, _SIDECARS - 1),
    st.sampled_from([WHOLE_PPM, 1]) | st.integers(0, WHOLE_PPM),
)


class _Sharers:
    """Buckets for shares that add up to the whole, by the functions of `rates`."""

    def __init__(self, rate: Rate) -> None:
        self.rate = rate
        self.shares = [WHOLE_PPM] + [0] * (_SIDECARS - 1)
        self.buckets: list[Bucket | None] = [None] * _SIDECARS

    def level(self, sidecar: int, now_us: int) -> int:
        share = self.shares[sidecar]
        return level_at(self.buckets[sidecar], self.rate, now_us, now_us, share)

    def asks(self, ask: _Ask, now_us: int) -> bool:
        """Whether it passes; what is more than a share holds is left out here."""
        share, level = self.shares[ask.sidecar], self.level(ask.sidecar, now_us)
        fits = ask.quantity * self.rate.period_us <= brim(self.rate, share)
        if not fits or not conforms(self.rate, level, ask.quantity, share):
            return False
        self.buckets[ask.sidecar] = Bucket(filled(self.rate, level, ask.quantity), now_us)
        return True

    def move(self, move: _Move, now_us: int) -> None:
        """Lower one, which says how full it is, and then raise another by as much."""
        if move.giver == move.taker:
            return
        levels = [self.level(sidecar, now_us) for sidecar in range(_SIDECARS)]
        given = self.shares[move.giver] * move.part_ppm // WHOLE_PPM
        kept = self.shares[move.giver] - given
        fill = fill_of(self.rate, levels[move.giver], self.shares[move.giver])
        lowered = level_moved(self.rate, levels[move.giver], self.shares[move.giver], kept, 0)
        raised = self.shares[move.taker] + given
        taken = level_moved(self.rate, levels[move.taker], self.shares[move.taker], raised, fill)
        self.shares[move.giver], self.shares[move.taker] = kept, raised
        self.buckets[move.giver] = Bucket(lowered, now_us)
        self.buckets[move.taker] = Bucket(taken, now_us)


@given(_RATES, st.lists(_ASKS | _MOVES, max_size=40))
def test_in_no_stretch_of_time_all_pass_more_than_the_burst_and_what_flows_in(
    rate: Rate, steps: list[_Ask | _Move]
) -> None:
    sharers, now_us = _Sharers(rate), NOW_US
    passed: list[tuple[int, int]] = []
    for step in steps:
        now_us += step.step_us
        if isinstance(step, _Move):
            sharers.move(step, now_us)
        elif sharers.asks(step, now_us):
            passed.append((now_us, step.quantity))
    for first, (from_us, _) in enumerate(passed):
        total = 0
        for until_us, quantity in passed[first:]:
            total += quantity
            flowed = Fraction(rate.count * (until_us - from_us), rate.period_us)
            assert total <= rate.burst + flowed


@given(_RATES, st.integers(1, WHOLE_PPM), st.integers(0, 40), st.integers(1, 40))
def test_the_time_to_wait_for_a_share_is_exact(
    rate: Rate, share_ppm: int, used: int, quantity: int
) -> None:
    bucket = Bucket(used * rate.period_us, NOW_US)
    wait = wait_us(rate, bucket.level, quantity, share_ppm)
    if wait is None:
        assert quantity > rate.burst
        return

    def passes(at_us: int) -> bool:
        level = level_at(bucket, rate, at_us, at_us, share_ppm)
        return conforms(rate, level, quantity, share_ppm)

    assert passes(NOW_US + wait)
    assert not wait or not passes(NOW_US + wait - 1)


@given(_RATES, st.integers(1, WHOLE_PPM), st.integers(1, 40))
def test_every_quantity_that_the_whole_burst_holds_passes_in_the_end(
    rate: Rate, share_ppm: int, used: int
) -> None:
    """However small the share: large requests are late, and not starved."""
    bucket = Bucket(used * rate.period_us, NOW_US)
    empty_us = empties_us(rate, bucket.level, NOW_US, share_ppm)
    level = level_at(bucket, rate, empty_us, empty_us, share_ppm)
    assert conforms(rate, level, rate.burst, share_ppm)
