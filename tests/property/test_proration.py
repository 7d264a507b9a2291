"""Proration by time against exact fractions: never more, and less by no more than the roundings."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Final

from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.plan_terms import Proration
from sidecar.domain.entitlement.proration import prorated_amount
from sidecar.domain.time.windows import Window

START_US: Final = 1_700_000_000_000_000
amounts = st.sampled_from([0, 1, 2, 999, INT64_MAX]) | st.integers(0, 10**9)
lengths = st.sampled_from([1, 2, 7, 2_678_400_000_000]) | st.integers(1, 10**13)


@st.composite
def windows(draw: st.DrawFn) -> tuple[Window, list[tuple[int, int]]]:
    """A window, and what plans grant in it, each with the instant from which on it is in force."""
    length = draw(lengths)
    starts = sorted(draw(st.lists(st.integers(0, length - 1), max_size=6)))
    plans = [(START_US + start, draw(amounts)) for start in [0, *starts]]
    return Window(START_US, START_US + length), plans


def by_time(window: Window, plans: list[tuple[int, int]]) -> list[int]:
    """What is granted from each plan on."""
    found = [plans[0][1]]
    for (_, before), (at_us, after) in pairwise(plans):
        rule = Proration.BY_TIME
        found.append(prorated_amount(rule, found[-1], before, after, window, at_us))
    return found


def exact(window: Window, plans: list[tuple[int, int]]) -> Fraction:
    """The parts of all plans by time, the last one up to the window's end."""
    ends = [*(at_us for at_us, _ in plans[1:]), window.end_us]
    parts = (amount * (end - at) for (at, amount), end in zip(plans, ends, strict=True))
    return Fraction(sum(parts), window.end_us - window.start_us)


@given(windows())
@example((Window(0, 3), [(0, 10), (1, 0), (2, 10)]))
def test_parts_add_up_to_no_more_than_by_exact_fractions(
    case: tuple[Window, list[tuple[int, int]]],
) -> None:
    window, plans = case
    for count, amount in enumerate(by_time(window, plans)):
        so_far = exact(window, plans[: count + 1])
        assert so_far - count <= amount <= so_far
        assert 0 <= amount <= max(granted for _, granted in plans)


@given(windows(), amounts)
def test_a_plan_that_grants_the_same_changes_nothing(
    case: tuple[Window, list[tuple[int, int]]], amount: int
) -> None:
    window, plans = case
    assert {amount} == set(by_time(window, [(at_us, amount) for at_us, _ in plans]))


@given(windows())
def test_more_is_never_less_and_less_never_more(
    case: tuple[Window, list[tuple[int, int]]],
) -> None:
    window, plans = case
    for ((_, before), (_, after)), (was, becomes) in zip(
        pairwise(plans), pairwise(by_time(window, plans)), strict=True
    ):
        assert was <= becomes if before <= after else was >= becomes
