"""Rates, by outcome: what passes, what waits, what drains."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import (
    INT64_MAX,
    RATE_PERIOD_US_MAX,
    RATE_PERIOD_US_MIN,
    RATE_PRODUCT_MAX,
)
from sidecar.domain.catalog.model import Enforcement, Rate, RateLimit
from sidecar.domain.limits.rate_usage import RateUsage
from sidecar.domain.limits.rates import (
    Bucket,
    empties_us,
    filled,
    in_use,
    late_us,
    level_at,
    room,
    wait_us,
)
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.support.build import HARD, NOW_US, SHADOW

TEN_A_SECOND: Final = Rate(10, SECOND_US, 20)
THREE_A_MILLISECOND: Final = Rate(3, 1_000, 4)
"""A unit takes 333 and a third of a microsecond."""
FULL: Final = 20 * SECOND_US
FASTEST: Final = Rate(
    RATE_PRODUCT_MAX // RATE_PERIOD_US_MIN, RATE_PERIOD_US_MIN, RATE_PRODUCT_MAX // 1_000
)
SLOWEST: Final = Rate(1, RATE_PERIOD_US_MAX, 1)


@pytest.mark.parametrize(
    ("bucket", "now_us", "expected"),
    [
        pytest.param(None, NOW_US, 0, id="never used"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US, FULL, id="just filled"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US + 1, FULL - 10, id="a microsecond later"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US + SECOND_US, FULL // 2, id="half drained"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US + 2 * SECOND_US, 0, id="just drained"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US + DAY_US, 0, id="never below empty"),
        pytest.param(Bucket(FULL, NOW_US), NOW_US - DAY_US, FULL, id="clock set back"),
        pytest.param(Bucket(5 * FULL, NOW_US), NOW_US + SECOND_US, 90 * SECOND_US, id="debt"),
        pytest.param(Bucket(-5, NOW_US), NOW_US, 0, id="emptied long ago"),
    ],
)
def test_a_bucket_drains_with_time(bucket: Bucket | None, now_us: int, expected: int) -> None:
    assert expected == level_at(bucket, TEN_A_SECOND, now_us, now_us)


@pytest.mark.parametrize(
    ("bucket", "age_us", "expected"),
    [
        pytest.param(None, SECOND_US, -10 * SECOND_US, id="never used: ten units have drained"),
        pytest.param(Bucket(FULL, NOW_US), SECOND_US, FULL, id="was never empty since"),
        pytest.param(
            Bucket(FULL, NOW_US - 3 * SECOND_US),
            5 * SECOND_US,
            -10 * SECOND_US,
            id="was empty for a second, whatever the age",
        ),
        pytest.param(
            Bucket(FULL, NOW_US - 9 * SECOND_US),
            5 * SECOND_US,
            -50 * SECOND_US,
            id="was empty for longer than that",
        ),
        pytest.param(
            Bucket(-30 * SECOND_US, NOW_US),
            5 * SECOND_US,
            -30 * SECOND_US,
            id="an earlier event of the past took a part of the rest",
        ),
        pytest.param(Bucket(FULL, NOW_US), -SECOND_US, FULL, id="an event of the near future"),
        pytest.param(None, -SECOND_US, 0, id="the same, never used"),
    ],
)
def test_an_event_of_the_past_has_drained_as_far_as_the_bucket_was_empty(
    bucket: Bucket | None, age_us: int, expected: int
) -> None:
    assert expected == level_at(bucket, TEN_A_SECOND, NOW_US, NOW_US - age_us)


@pytest.mark.parametrize(
    ("rate", "level", "expected"),
    [
        pytest.param(TEN_A_SECOND, 0, 20, id="empty: the burst"),
        pytest.param(TEN_A_SECOND, FULL, 0, id="full"),
        pytest.param(TEN_A_SECOND, FULL - SECOND_US + 1, 0, id="not quite a unit"),
        pytest.param(TEN_A_SECOND, FULL - SECOND_US, 1, id="a unit"),
        pytest.param(TEN_A_SECOND, 5 * FULL, 0, id="debt: none, not less"),
        pytest.param(TEN_A_SECOND, -1000 * SECOND_US, 20, id="of the past: no more than the burst"),
        pytest.param(THREE_A_MILLISECOND, 1, 3, id="a third of a microsecond is missing"),
        pytest.param(FASTEST, 0, RATE_PRODUCT_MAX // 1_000, id="fastest"),
        pytest.param(SLOWEST, 1, 0, id="slowest"),
    ],
)
def test_what_fits_conforms(rate: Rate, level: int, expected: int) -> None:
    assert expected == room(rate, level)


@pytest.mark.parametrize(
    ("rate", "level", "quantity", "expected"),
    [
        pytest.param(TEN_A_SECOND, 0, 20, 0, id="fits"),
        pytest.param(TEN_A_SECOND, -1000 * SECOND_US, 20, 0, id="of the past: as an empty one"),
        pytest.param(TEN_A_SECOND, FULL, 0, 0, id="nothing asked"),
        pytest.param(TEN_A_SECOND, FULL, 1, SECOND_US // 10, id="the next unit"),
        pytest.param(TEN_A_SECOND, FULL, 20, 2 * SECOND_US, id="a whole burst"),
        pytest.param(TEN_A_SECOND, 0, 21, None, id="more than the burst, ever"),
        pytest.param(TEN_A_SECOND, 3 * FULL, 1, 41 * SECOND_US // 10, id="the debt drains first"),
        pytest.param(TEN_A_SECOND, FULL - SECOND_US + 1, 1, 1, id="a tenth of a microsecond"),
        pytest.param(THREE_A_MILLISECOND, 4_000, 1, 334, id="rounded up, never down"),
        pytest.param(THREE_A_MILLISECOND, 4_000, 2, 667, id="from the start, not from the last"),
        pytest.param(THREE_A_MILLISECOND, 4_000, 3, 1_000, id="where it divides"),
        pytest.param(SLOWEST, RATE_PERIOD_US_MAX, 1, RATE_PERIOD_US_MAX, id="slowest"),
        pytest.param(FASTEST, INT64_MAX, 1, 1001, id="fastest, from the greatest debt"),
    ],
)
def test_how_long_to_wait(rate: Rate, level: int, quantity: int, expected: int | None) -> None:
    assert expected == wait_us(rate, level, quantity)


@pytest.mark.parametrize(
    ("level", "quantity", "expected"),
    [
        pytest.param(0, 3, 3 * SECOND_US, id="empty"),
        pytest.param(FULL, 1, FULL + SECOND_US, id="past its brim"),
        pytest.param(5, 0, 5, id="by nothing"),
        pytest.param(-10 * SECOND_US, 4, -6 * SECOND_US, id="of the past"),
        pytest.param(0, INT64_MAX, INT64_MAX, id="the greatest quantity saturates"),
        pytest.param(INT64_MAX, 1, INT64_MAX, id="the greatest debt"),
        pytest.param(-(10**30), 1, -INT64_MAX, id="the longest rest"),
    ],
)
def test_a_quantity_fills(level: int, quantity: int, expected: int) -> None:
    assert expected == filled(TEN_A_SECOND, level, quantity)


@pytest.mark.parametrize(
    ("rate", "level", "expected_us", "expected_units"),
    [
        pytest.param(TEN_A_SECOND, 0, 0, 0, id="empty"),
        pytest.param(TEN_A_SECOND, FULL, 2 * SECOND_US, 20, id="full"),
        pytest.param(TEN_A_SECOND, 1, 1, 1, id="rounded up"),
        pytest.param(TEN_A_SECOND, -FULL, -2 * SECOND_US, 0, id="empty for two seconds"),
        pytest.param(THREE_A_MILLISECOND, 4_000, 1_334, 4, id="rounded up, once"),
    ],
)
def test_when_a_bucket_is_empty_and_what_is_in_it(
    rate: Rate, level: int, expected_us: int, expected_units: int
) -> None:
    assert NOW_US + expected_us == empties_us(rate, level, NOW_US)
    assert expected_units == in_use(rate, level)


@pytest.mark.parametrize(
    ("rate", "expected"),
    [
        pytest.param(TEN_A_SECOND, HOUR_US, id="an hour"),
        pytest.param(Rate(10, DAY_US, 20), 2 * DAY_US, id="what a full bucket takes to drain"),
        pytest.param(Rate(1, MINUTE_US, 60), HOUR_US, id="as long"),
    ],
)
def test_from_which_age_on_usage_does_not_meet_a_rate(rate: Rate, expected: int) -> None:
    assert expected == late_us(rate)


@pytest.mark.parametrize(
    ("enforcement", "quantity", "expected"),
    [
        pytest.param(HARD, 3, FULL - 2 * SECOND_US, id="hard: filled"),
        pytest.param(HARD, 6, FULL + SECOND_US, id="hard: filled past the brim by what happened"),
        pytest.param(SHADOW, 5, FULL, id="shadow: filled by what it would let pass"),
        pytest.param(SHADOW, 6, FULL - 5 * SECOND_US, id="shadow: not by what it would deny"),
    ],
)
def test_what_a_rate_that_only_watches_is_filled_by(
    enforcement: Enforcement, quantity: int, expected: int
) -> None:
    limit = RateLimit("rate", TEN_A_SECOND, enforcement)
    usage = RateUsage(limit, FULL - 5 * SECOND_US, NOW_US)
    assert expected == usage.after(quantity).level
