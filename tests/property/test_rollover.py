"""Rollover agrees with a model that knows every single unit by the window it was given in."""

from __future__ import annotations

from collections import Counter
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.limits.rollover import carry

_ROLLOVERS: Final = st.builds(
    Rollover,
    windows=st.integers(1, 4),
    amount_max=st.none() | st.integers(0, 30),
    percent_max=st.none() | st.integers(0, 300),
)
_STEPS: Final = st.lists(
    st.tuples(_ROLLOVERS, st.integers(0, 12), st.integers(0, 40)), min_size=1, max_size=12
)
_QUANTITIES: Final = st.integers(0, INT64_MAX)


class _Units:
    """Units that are held in a window: for each, the number of the window that it was given in."""

    def __init__(self) -> None:
        self.births: list[int] = []

    def pass_window(self, number: int, rollover: Rollover, amount: int, used: int) -> None:
        """A window ends in which `used` units were asked for."""
        held = sorted(self.births + [number] * amount)[used:]
        held = [birth for birth in held if number + 1 - birth <= rollover.windows]
        for most in (rollover.amount_max, self._share(rollover, amount)):
            while most is not None and len(held) > most:
                held.pop(0)
        self.births = held

    def by_age(self, number: int) -> tuple[int, ...]:
        """How many units of each age are carried into a window, the youngest first."""
        ages = Counter(number - birth for birth in self.births)
        return tuple(ages[age] for age in range(1, max(ages, default=0) + 1))

    def _share(self, rollover: Rollover, amount: int) -> int | None:
        return None if rollover.percent_max is None else amount * rollover.percent_max // 100


@given(_STEPS)
def test_rollover_agrees_with_single_units(steps: list[tuple[Rollover, int, int]]) -> None:
    units = _Units()
    carried: tuple[int, ...] = ()
    for number, (rollover, amount, used) in enumerate(steps):
        carried = carry(rollover, amount, carried, used)
        units.pass_window(number, rollover, amount, used)
        assert carried == units.by_age(number + 1)


@given(
    st.builds(
        Rollover,
        windows=st.integers(1, 36),
        amount_max=st.none() | _QUANTITIES,
        percent_max=st.none() | st.integers(0, 1000),
    ),
    _QUANTITIES,
    st.lists(_QUANTITIES, max_size=36).map(tuple),
    _QUANTITIES,
)
def test_nothing_is_made_up_and_bounds_hold(
    rollover: Rollover, amount: int, carried: tuple[int, ...], used: int
) -> None:
    after = carry(rollover, amount, carried, used)

    assert sum(after) <= max(0, amount + sum(carried) - used)
    assert sum(after) <= (INT64_MAX if rollover.amount_max is None else rollover.amount_max)
    assert len(after) <= rollover.windows
    assert all(left <= was for left, was in zip(after, (amount, *carried), strict=False))
    assert min(after, default=0) >= 0
    assert not after or after[-1] > 0
