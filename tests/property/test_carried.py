"""What a sidecar works out to be carried agrees with a model that has every day's lot in its hands.

The model never looks back: it goes through every day, and takes usage from the oldest lot first.
The sidecar hears of the plane now and then, is closed and opened, and is swept.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.domain.catalog.model import Limit, Rollover
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import DAY_US
from sidecar.storage.sweep import Sweep
from tests.support.build import DAY, catalog, company, counter_ref, limit, metered
from tests.support.inside import Inside

AMOUNT: Final = 10
_MOST: Final = st.none() | st.sampled_from([0, 3, 12, 25])
_ROLLOVERS: Final = st.builds(
    Rollover, st.sampled_from([1, 2, 3, 36]), _MOST, st.none() | st.sampled_from([20, 150])
)


class _Day(NamedTuple):
    """A day's usage, what happens at its end, and how many days nothing happens after it."""

    used: int
    is_told: bool
    is_reopened: bool
    is_swept: bool
    rest: int


_DAYS: Final = st.lists(
    st.builds(
        _Day,
        st.integers(0, 30),
        st.booleans(),
        st.booleans(),
        st.booleans(),
        st.sampled_from([0, 0, 0, 1, 3, 45, 80]),
    ),
    max_size=8,
)


class _Model:
    """Lots of the days on which they were given: (day, what is left of it), oldest first."""

    def __init__(self, rollover: Rollover) -> None:
        self._rollover = rollover
        self._day = 0
        self._lots = [(0, AMOUNT)]

    @property
    def by_age(self) -> tuple[int, ...]:
        """What was carried into the day, the youngest first."""
        left = dict(self._lots[:-1])
        ages = range(1, 1 + max((self._day - day for day in left), default=0))
        return tuple(left.get(self._day - age, 0) for age in ages)

    def ends(self, used: int) -> None:
        """A day ends on which so much was used."""
        left = []
        for day, amount in self._lots:
            taken = min(amount, used)
            used -= taken
            left.append((day, amount - taken))
        self._day += 1
        most = self._most()
        kept: list[tuple[int, int]] = []
        for day, amount in reversed(left):
            if self._day - day <= self._rollover.windows:
                fits = min(amount, most)
                most -= fits
                if fits:
                    kept.insert(0, (day, fits))
        self._lots = [*kept, (self._day, AMOUNT)]

    def _most(self) -> int:
        most = 10**9 if self._rollover.amount_max is None else self._rollover.amount_max
        if self._rollover.percent_max is not None:
            most = min(most, AMOUNT * self._rollover.percent_max // 100)
        return most


def _tell(sidecar: Inside, of: Limit, carried: tuple[int, ...]) -> None:
    ref = counter_ref(of, at_us=sidecar.now_us)
    own = sidecar.opened.used(ref)
    said = CounterTotal("acme", "calls", ref, own, own, sidecar.now_us, carried)
    sidecar.opened.counters.hear("life-1", [said])


@settings(max_examples=150, deadline=None)
@given(_ROLLOVERS, _DAYS, st.booleans())
def test_what_is_carried_agrees_with_the_model(
    rollover: Rollover, days: list[_Day], authority: bool
) -> None:
    of = msgspec.structs.replace(limit("daily", AMOUNT, window=DAY), rollover=rollover)
    content = catalog({"basic": [metered("calls", of)]})
    sidecar, model = Inside(content, company(), authority=authority), _Model(rollover)
    if not authority:
        _tell(sidecar, of, ())
    else:
        sidecar.decide(1)
    begun = int(authority)  # what it takes for the authority to see the first window
    for day in days:
        for used in (day.used, *[0] * day.rest):
            if used:
                sidecar.decide(used, mode=GrantMode.RECORD_ONLY)
            model.ends(used + begun)
            begun = 0
            sidecar.now_us += DAY_US
        expected = AMOUNT + sum(model.by_age)
        assert [True, False] == [sidecar.allows(expected), sidecar.allows(expected + 1)]
        if day.is_told and not authority:
            _tell(sidecar, of, model.by_age)
        if day.is_swept:
            Sweep(sidecar.opened.store).step(sidecar.now_us, 10_000)
        if day.is_reopened:
            sidecar.reopen()
        assert [True, False] == [sidecar.allows(expected), sidecar.allows(expected + 1)]
