"""What is carried from one window into the next, by outcome."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.limits.rollover import carry

ONE: Final = Rollover()
THREE: Final = Rollover(windows=3)


@pytest.mark.parametrize(
    ("rollover", "amount", "carried", "used", "expected"),
    [
        pytest.param(ONE, 10, (), 0, (10,), id="all of an idle window"),
        pytest.param(ONE, 10, (), 4, (6,), id="what is left of the amount"),
        pytest.param(ONE, 10, (), 10, (), id="nothing is left"),
        pytest.param(ONE, 10, (), 25, (), id="used more than there was"),
        pytest.param(ONE, 10, (), -5, (10,), id="corrected to below nothing"),
        pytest.param(ONE, 0, (), 0, (), id="an amount of 0 leaves nothing"),
        pytest.param(ONE, 10, (6,), 6, (10,), id="carried is used before the amount"),
        pytest.param(ONE, 10, (6,), 7, (9,), id="then the amount"),
        pytest.param(ONE, 10, (6,), 2, (10,), id="lost after one window"),
        pytest.param(THREE, 10, (6,), 2, (10, 4), id="kept for a second window"),
        pytest.param(THREE, 10, (6, 5, 3), 0, (10, 6, 5), id="the one too old is lost"),
        pytest.param(THREE, 10, (6, 5, 3), 3, (10, 6, 5), id="the oldest is used first"),
        pytest.param(THREE, 10, (6, 5, 3), 7, (10, 6, 1), id="then the next"),
        pytest.param(THREE, 10, (6, 5, 3), 10, (10, 4), id="no zeros at the old end"),
        pytest.param(THREE, 10, (0, 5), 0, (10, 0, 5), id="a gap in between stays"),
        pytest.param(THREE, 10, (6, 5, 3), 24, (), id="all of it used"),
        pytest.param(ONE, 10, (6, 5, 3), 4, (10,), id="a rollover that lasts shorter now"),
    ],
)
def test_unused_amounts_are_carried_by_age(
    rollover: Rollover, amount: int, carried: tuple[int, ...], used: int, expected: tuple[int, ...]
) -> None:
    assert carry(rollover, amount, carried, used) == expected


@pytest.mark.parametrize(
    ("rollover", "amount", "carried", "expected"),
    [
        pytest.param(Rollover(3, 12), 10, (6,), (10, 2), id="the oldest is cut"),
        pytest.param(Rollover(3, 8), 10, (6,), (8,), id="the amount itself is cut"),
        pytest.param(Rollover(3, 16), 10, (6,), (10, 6), id="just enough room"),
        pytest.param(Rollover(3, 0), 10, (6,), (), id="a maximum of 0"),
        pytest.param(Rollover(3, None, 50), 10, (6,), (5,), id="half of the amount"),
        pytest.param(Rollover(3, None, 150), 10, (6,), (10, 5), id="more than the amount"),
        pytest.param(Rollover(3, None, 33), 10, (), (3,), id="percentages round down"),
        pytest.param(Rollover(3, 12, 110), 10, (6,), (10, 1), id="the percentage is tighter"),
        pytest.param(Rollover(3, 11, 200), 10, (6,), (10, 1), id="the maximum is tighter"),
    ],
)
def test_the_total_is_cut_from_the_oldest_end(
    rollover: Rollover, amount: int, carried: tuple[int, ...], expected: tuple[int, ...]
) -> None:
    assert carry(rollover, amount, carried, 0) == expected


@pytest.mark.parametrize(
    ("rollover", "used", "expected"),
    [
        pytest.param(THREE, 0, (10, 6), id="what is granted for a time is not carried"),
        pytest.param(THREE, 6, (10,), id="carried amounts are used first"),
        pytest.param(THREE, 56, (10,), id="then what is granted for a time"),
        pytest.param(THREE, 59, (7,), id="and what lasts of the amount last"),
        pytest.param(Rollover(3, None, 150), 0, (10, 5), id="percentages are of what lasts"),
    ],
)
def test_an_amount_for_a_time_is_not_carried_on(
    rollover: Rollover, used: int, expected: tuple[int, ...]
) -> None:
    assert expected == carry(rollover, 60, (6,), used, amount_lasting=10)


def test_an_amount_that_is_lowered_for_a_time_is_carried_as_it_is() -> None:
    assert (4,) == carry(ONE, 4, (), 0, amount_lasting=10)


def test_the_total_fits_64_bits() -> None:
    carried = carry(THREE, INT64_MAX - 1, (INT64_MAX,), 5)

    assert carried == (INT64_MAX - 1, 1)
