"""Shares of a rate, by outcome: what passes by one, how long it takes, and what moves with it."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import RateLimit
from sidecar.domain.limits.decide import decide
from sidecar.domain.limits.rate_shares import even_share, fill_of, level_moved
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.rates import Bucket, conforms, empties_us, level_at, room, wait_us
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import SECOND_US
from tests.support.build import NOW_US, TEN_A_SECOND

QUARTER: Final = 250_000
TENTH: Final = 100_000
TINY: Final = 10_000
"""Of 20 at once less than a unit."""
UNIT: Final = SECOND_US


def test_a_bucket_drains_by_its_share_of_the_count_rounded_down() -> None:
    bucket = Bucket(5 * UNIT, NOW_US)
    for elapsed_us, drained in [(SECOND_US, 2_500_000), (1, 2), (2, 5), (3, 7)]:
        now_us = NOW_US + elapsed_us
        assert 5 * UNIT - drained == level_at(bucket, TEN_A_SECOND, now_us, now_us, QUARTER)


@pytest.mark.parametrize(
    ("share_ppm", "level", "quantity", "passes", "wait"),
    [
        pytest.param(QUARTER, 0, 5, True, 0, id="the share's burst"),
        pytest.param(QUARTER, 1, 5, False, 1, id="not quite, until a part of a microsecond on"),
        pytest.param(QUARTER, 5 * UNIT, 1, False, 400_000, id="full: a unit at a quarter's pace"),
        pytest.param(QUARTER, 0, 20, True, 0, id="the whole burst, by an empty bucket"),
        pytest.param(QUARTER, 1, 20, False, 1, id="the whole burst, once it is empty"),
        pytest.param(
            QUARTER, 5 * UNIT, 6, False, 2_000_000, id="above the share: once it is empty"
        ),
        pytest.param(QUARTER, 20 * UNIT, 1, False, 6_400_000, id="what was above it drains first"),
        pytest.param(QUARTER, 0, 21, False, None, id="more than the whole burst: never"),
        pytest.param(TINY, 0, 1, True, 0, id="a unit, where the share holds less than one"),
        pytest.param(TINY, UNIT, 1, False, 10_000_000, id="the next after a hundredth's time"),
        pytest.param(0, 0, 1, True, 0, id="no share: one, by an empty bucket"),
        pytest.param(0, UNIT, 1, False, 100_000, id="no share: as if the whole came now"),
    ],
)
def test_what_passes_by_a_share_and_after_which_wait(
    share_ppm: int, level: int, quantity: int, passes: bool, wait: int | None
) -> None:
    assert passes == conforms(TEN_A_SECOND, level, quantity, share_ppm)
    assert wait == wait_us(TEN_A_SECOND, level, quantity, share_ppm)


@pytest.mark.parametrize(
    ("share_ppm", "level", "expected"),
    [
        pytest.param(QUARTER, 0, 5, id="empty: the share's burst, not the whole one"),
        pytest.param(QUARTER, 3 * UNIT, 2, id="the rest of it"),
        pytest.param(TINY, 0, 1, id="empty: never less than a unit"),
        pytest.param(TINY, 1, 0, id="anything in it, and the share holds no unit"),
    ],
)
def test_up_to_what_is_left_takes_no_more_than_the_share(
    share_ppm: int, level: int, expected: int
) -> None:
    assert expected == room(TEN_A_SECOND, level, share_ppm)
    usage = RateUsage(RateLimit("burst", TEN_A_SECOND), level, NOW_US, (), share_ppm)
    assert expected == decide(20, GrantMode.UP_TO, [], NOW_US, [usage]).granted


def test_what_an_answer_shows_of_a_rate_is_of_the_share() -> None:
    usage = RateUsage(RateLimit("burst", TEN_A_SECOND), 0, NOW_US, (), QUARTER).after(20)
    assert (5, 20, 0) == (usage.amount, usage.used, usage.left)
    assert NOW_US + 8 * SECOND_US == usage.resets_us
    assert NOW_US + 8 * SECOND_US == empties_us(TEN_A_SECOND, 20 * UNIT, NOW_US, QUARTER)


@pytest.mark.parametrize(("sidecars", "expected"), [(0, 1_000_000), (1, 1_000_000), (3, 333_333)])
def test_before_a_share_is_told_each_goes_by_an_even_part(sidecars: int, expected: int) -> None:
    assert expected == even_share(sidecars)


@pytest.mark.parametrize(
    ("level", "share_ppm", "expected"),
    [
        pytest.param(0, QUARTER, 0, id="empty"),
        pytest.param(-5, QUARTER, 0, id="empty since long"),
        pytest.param(1, QUARTER, 1, id="rounded up"),
        pytest.param(UNIT, QUARTER, 200_000, id="a fifth"),
        pytest.param(7 * UNIT, QUARTER, 1_000_000, id="a debt is no more than full"),
        pytest.param(0, 0, 0, id="nothing, of no share"),
        pytest.param(1, 0, 1_000_000, id="a debt, of no share"),
    ],
)
def test_how_full_a_bucket_is(level: int, share_ppm: int, expected: int) -> None:
    assert expected == fill_of(TEN_A_SECOND, level, share_ppm)


@pytest.mark.parametrize(
    ("level", "from_ppm", "share_ppm", "fill_ppm", "expected"),
    [
        pytest.param(2 * UNIT, QUARTER, TENTH, 0, 800_000, id="less: as full as it was"),
        pytest.param(2 * UNIT, QUARTER, 0, 0, 0, id="none: what was in it went along"),
        pytest.param(1, QUARTER, TENTH, 0, 1, id="less: rounded up"),
        pytest.param(8 * UNIT, QUARTER, TENTH, 0, 5 * UNIT, id="less: a debt stays all of it"),
        pytest.param(8 * UNIT, QUARTER, 0, 0, 3 * UNIT, id="none: a debt stays all of it"),
        pytest.param(UNIT, TENTH, QUARTER, 0, UNIT, id="more, with all of its part of the burst"),
        pytest.param(UNIT, TENTH, QUARTER, 1_000_000, 4 * UNIT, id="more, of what was used up"),
        pytest.param(UNIT, TENTH, QUARTER, 1, UNIT + 3, id="more, hardly used"),
        pytest.param(2 * UNIT, 0, QUARTER, 200_000, 3 * UNIT, id="the first is charged with all"),
        pytest.param(-9, TENTH, TENTH, 0, 0, id="the same"),
    ],
)
def test_a_share_moves_with_what_is_in_its_bucket(
    level: int, from_ppm: int, share_ppm: int, fill_ppm: int, expected: int
) -> None:
    assert expected == level_moved(TEN_A_SECOND, level, from_ppm, share_ppm, fill_ppm)
