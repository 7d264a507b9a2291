"""The most that may be used late is found: no less than by trying every quantity, and no more.

Windows pass on by rollovers with bounds, packs that come and go, resets, pauses and cuts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.limits.late_use import LaterWindow, most_usable
from sidecar.domain.limits.packs import Allowance, Carried, carried_on, packs_left
from sidecar.domain.limits.rollover import Passing

_ROLLOVERS = st.none() | st.builds(
    Rollover,
    st.integers(1, 3),
    st.none() | st.integers(0, 20),
    st.none() | st.sampled_from([50, 150]),
)
_ALLOWANCES = st.builds(
    Allowance,
    st.none() | st.integers(0, 12),
    _ROLLOVERS,
    st.sampled_from([0, 15, 30]),
    st.none() | st.integers(0, 12),
    st.sampled_from([0, 30, INT64_MAX]),
    st.none() | st.integers(0, 12),
)
_LATER = st.lists(
    st.builds(
        LaterWindow,
        st.sampled_from([Passing.REST, *Passing]),
        _ALLOWANCES,
        st.none() | _ALLOWANCES,
        st.integers(0, 40),
    ),
    max_size=5,
)
_CARRIED = st.builds(
    Carried, st.lists(st.integers(0, 9), max_size=3).map(tuple), st.integers(0, 15)
)


def _overages(carried: Carried, used: int, later: Iterable[LaterWindow]) -> Iterator[int]:
    for window in later:
        carried = carried_on(window.passing, window.passed_by, carried, used)
        assert window.used is not None
        used, held_by = window.used, window.held_by
        if held_by is not None and held_by.amount is not None:
            left = packs_left(held_by.packs, carried.packs_used)
            yield max(0, used - held_by.amount - sum(carried.by_age) - left)


@settings(max_examples=500)
@given(_CARRIED, st.integers(0, 30), st.integers(0, 60), _LATER)
def test_the_most_that_leaves_later_windows_as_they_are_is_found(
    carried: Carried, used: int, more: int, later: list[LaterWindow]
) -> None:
    as_it_is = list(_overages(carried, used, later))
    passes = [
        quantity
        for quantity in range(used, used + more + 1)
        if all(
            one <= other
            for one, other in zip(_overages(carried, quantity, later), as_it_is, strict=True)
        )
    ]
    assert list(range(used, used + len(passes))) == passes, "more never takes less"
    assert passes[-1] == most_usable(carried, used, used + more, iter(later))


@given(_CARRIED, st.integers(0, 30), st.integers(0, INT64_MAX - 30), _LATER, _ALLOWANCES)
def test_what_was_not_looked_at_counts_as_used_up(
    carried: Carried, used: int, more: int, later: list[LaterWindow], passed_by: Allowance
) -> None:
    unseen = LaterWindow(Passing.REST, passed_by, None, None)
    most = most_usable(carried, used, used + more, iter([*later, unseen]))
    assert used <= most <= most_usable(carried, used, used + more, iter(later))
    assert _passed_on(carried, used, later, passed_by) == _passed_on(
        carried, most, later, passed_by
    )


def _passed_on(
    carried: Carried, used: int, later: list[LaterWindow], passed_by: Allowance
) -> Carried:
    for window in later:
        carried = carried_on(window.passing, window.passed_by, carried, used)
        assert window.used is not None
        used = window.used
    return carried_on(Passing.REST, passed_by, carried, used)
