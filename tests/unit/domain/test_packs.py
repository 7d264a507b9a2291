"""What windows use of packs, and what is left of them."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit, Rollover
from sidecar.domain.limits.packs import Allowance, Carried, beyond, carried_on
from sidecar.domain.limits.rollover import Passing
from tests.support.build import MONTH

TEN: Final = Allowance(10, None, 50)
ROLLING: Final = Allowance(10, Rollover(2), 50)


@pytest.mark.parametrize(
    ("allowance", "carried", "used", "expected"),
    [
        pytest.param(TEN, Carried(), 10, Carried(), id="the amount is used first"),
        pytest.param(TEN, Carried(), 25, Carried((), 15), id="then packs"),
        pytest.param(TEN, Carried((), 15), 25, Carried((), 30), id="and more of them"),
        pytest.param(TEN, Carried((), 45), 25, Carried((), 50), id="at most what they hold"),
        pytest.param(TEN, Carried((), 50), 99, Carried((), 50), id="or held: usage past it"),
        pytest.param(TEN, Carried((), 70), 0, Carried((), 50), id="what was dropped is forgotten"),
        pytest.param(TEN, Carried(), -5, Carried(), id="corrected below nothing"),
        pytest.param(ROLLING, Carried((4,), 5), 12, Carried((2,), 5), id="carried amounts first"),
        pytest.param(ROLLING, Carried((4,), 5), 20, Carried((), 11), id="then packs, of all three"),
        pytest.param(
            Allowance(None, None, 50), Carried((4,), 5), 99, Carried((), 5), id="unlimited: nothing"
        ),
        pytest.param(
            Allowance(None, None, 0, packs_held=50),
            Carried((), 30),
            9,
            Carried((), 30),
            id="held and not in force: what was used stays",
        ),
        pytest.param(
            Allowance(5, None, 20, packs_held=INT64_MAX, packs_past=10),
            Carried((), 5),
            18,
            Carried((), 13),
            id="a plan that took over: as the one before it counts",
        ),
        pytest.param(
            Allowance(5, Rollover(2), packs_held=50),
            Carried((), 30),
            3,
            Carried((2,), 30),
            id="held and not in force: the amount alone is used",
        ),
        pytest.param(
            Allowance(INT64_MAX, None, 50),
            Carried(),
            INT64_MAX,
            Carried(),
            id="an amount that nothing exceeds",
        ),
    ],
)
def test_a_window_passes_on(
    allowance: Allowance, carried: Carried, used: int, expected: Carried
) -> None:
    assert expected == carried_on(Passing.REST, allowance, carried, used)


@pytest.mark.parametrize(
    ("passing", "expected"),
    [
        pytest.param(Passing.REST, Carried((), 20), id="a window's end"),
        pytest.param(Passing.REST_OF_CARRIED, Carried((), 20), id="an end in a pause"),
        pytest.param(Passing.UNUSED, Carried((), 20), id="a new billing cycle"),
        pytest.param(Passing.ALL, Carried((4,), 9), id="a reset: what was used before it"),
    ],
)
def test_what_ends_a_window_has_used_of_packs(passing: Passing, expected: Carried) -> None:
    assert expected == carried_on(passing, ROLLING, Carried((4,), 9), 25)


@pytest.mark.parametrize(
    ("amount", "packs", "carried", "expected"),
    [
        pytest.param(10, 0, Carried(), (0, 0), id="the amount alone"),
        pytest.param(10, 0, Carried((4, 0, 2)), (6, 0), id="what was carried"),
        pytest.param(10, 50, Carried((4,), 20), (34, 30), id="and what packs have left"),
        pytest.param(10, 50, Carried((), 60), (0, 0), id="never below nothing"),
        pytest.param(None, 50, Carried((4,)), (0, 0), id="nothing beyond no amount"),
        pytest.param(INT64_MAX - 3, 50, Carried((2,)), (3, 3), id="with the amount 64 bits"),
    ],
)
def test_beyond_the_amount_there_is(
    amount: int | None, packs: int, carried: Carried, expected: tuple[int, int]
) -> None:
    assert expected == beyond(Limit("monthly", MONTH, amount, packs=packs), carried)
