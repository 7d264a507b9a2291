"""Bills of levels are what counting microsecond by microsecond says."""

from __future__ import annotations

from collections import defaultdict
from fractions import Fraction
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.levels.billing import ChangeAt, average_text, bill_of

_END: Final = 24
_REPORTS: Final = st.lists(st.tuples(st.integers(-4, _END + 4), st.integers(-5, 5)), max_size=20)


@given(_REPORTS, st.integers(0, _END), st.randoms(use_true_random=False))
def test_a_bill_is_what_each_microsecond_adds_up_to(
    reports: list[tuple[int, int]], until_us: int, chance: object
) -> None:
    levels = [
        max(0, sum(amount for at_us, amount in reports if at_us <= instant))
        for instant in range(until_us)
    ]
    by_instant: dict[int, int] = defaultdict(int)
    for at_us, amount in reports:
        by_instant[at_us] += amount
    before = sum(amount for at_us, amount in by_instant.items() if at_us <= 0)
    changes = sorted(
        ChangeAt(at_us, amount) for at_us, amount in by_instant.items() if 0 < at_us < until_us
    )
    bill = bill_of(0, until_us, before, changes)
    assert sum(levels) == bill.unit_us
    if levels:
        assert (levels[0], max(levels)) == (bill.opening, bill.peak)
        assert Fraction(sum(levels), until_us) == bill.average


def test_no_bill_is_too_large() -> None:
    year_us = 366 * 86_400_000_000
    bill = bill_of(0, year_us, INT64_MAX, [])
    assert INT64_MAX * year_us == bill.unit_us
    assert Fraction(INT64_MAX) == bill.average


@pytest.mark.parametrize(
    ("average", "text"),
    [
        (Fraction(0), "0"),
        (Fraction(7), "7"),
        (Fraction(5, 2), "2.5"),
        (Fraction(1, 3), "0.333333"),
        (Fraction(2, 3), "0.666667"),
        (Fraction(1, 2_000_000), "0.000001"),
        (Fraction(1, 2_000_001), "0"),
    ],
)
def test_averages_are_told_to_a_millionth(average: Fraction, text: str) -> None:
    assert text == average_text(average)
