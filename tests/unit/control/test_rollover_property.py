"""However late usage arrives, and whenever the plane is down: what is carried is as if on time.

The model knows every unit by the window it was given in. It is asked once all usage has arrived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from typing import Any, Final, TypeAlias
from unittest.mock import patch

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.services import close_windows, rollover_walk
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.company.subscription_changes import NOW, ResetUsage
from sidecar.domain.time.units import DAY_US
from tests.unit.control.rollover_plane import (
    BILLING_MONTH,
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)

START_US: Final = utc(2026, 1, 31)
MONTHS: Final = 8

Steps: TypeAlias = list[tuple[Any, ...]]

STEPS: Final = st.lists(
    st.one_of(
        st.tuples(st.just("pass"), st.integers(0, 40), st.booleans()),
        st.tuples(st.just("pass"), st.integers(15, 40), st.booleans()),
        st.tuples(st.just("use"), st.integers(0, 15), st.integers(0, 34)),
        st.tuples(st.just("plan"), st.integers(0, 3)),
        st.tuples(st.just("reset")),
        st.tuples(st.just("restart")),
    ),
    min_size=6,
    max_size=30,
)
TERMS: Final = st.lists(
    st.tuples(
        st.integers(1, 12),
        st.builds(
            Rollover,
            windows=st.integers(1, 4),
            amount_max=st.none() | st.integers(0, 20),
            percent_max=st.none() | st.integers(0, 250),
        ),
    ),
    min_size=4,
    max_size=4,
)


class Model:
    """Units that are left over, each as the number of the window that it was given in."""

    def __init__(self) -> None:
        self.used = [0] * MONTHS
        self.plans = [0] * MONTHS
        self.reset_us = [START_US] * MONTHS

    def use(self, quantity: int, at_us: int) -> None:
        """What was used before a reset is forgotten, whenever it arrives."""
        number = _number(at_us)
        if at_us >= self.reset_us[number]:
            self.used[number] += quantity

    def reset(self, now_us: int) -> None:
        """The window starts anew, with all that was carried into it."""
        number = _number(now_us)
        self.used[number], self.reset_us[number] = 0, now_us

    def carried(self, terms: list[tuple[int, Rollover]], until: int) -> Iterator[tuple[int, ...]]:
        """What was carried into each window up to a number, by age."""
        left: list[int] = []
        for number in range(until + 1):
            ages = Counter(number - birth for birth in left)
            yield tuple(ages[age] for age in range(1, max(ages, default=0) + 1))
            amount, keeps = terms[self.plans[number]]
            left = sorted([*left, *[number] * amount])[self.used[number] :]
            left = [birth for birth in left if birth > number - keeps.windows]
            most = len(left)
            if keeps.amount_max is not None:
                most = min(most, keeps.amount_max)
            if keeps.percent_max is not None:
                most = min(most, amount * keeps.percent_max // 100)
            left = left[len(left) - most :]


STARTS: Final = [
    utc(2026, month, day) for month, day in enumerate((31, 28, 31, 30, 31, 30, 31, 31, 30), 1)
]
"""Starts of the windows: the last days of months."""


def _number(at_us: int) -> int:
    return sum(start <= at_us for start in STARTS) - 1


@settings(max_examples=150, deadline=None)
@given(steps=STEPS, terms=TERMS, cap=st.integers(1, 3))
def test_late_usage_counts_as_if_on_time(
    steps: Steps, terms: list[tuple[int, Rollover]], cap: int
) -> None:
    with (
        closing(SqliteStore()) as store,
        patch.object(close_windows, "PAGE", cap),
        patch.object(close_windows, "FOLLOW_MAX", cap),
        patch.object(rollover_walk, "PAGE", cap),
    ):
        _compare(store, steps, terms)


def _compare(store: SqliteStore, steps: Steps, terms: list[tuple[int, Rollover]]) -> None:
    plane, model = RolloverPlane(store, START_US), Model()
    limits = {
        f"p{at}": monthly(keeps, amount, BILLING_MONTH) for at, (amount, keeps) in enumerate(terms)
    }
    plane.apply(catalog_of(**limits), on_plan("p0", anchor_us=START_US))
    first: dict[int, CounterKey] = {}  # of each window; a timeline forgets what is long ago
    for kind, *what in steps:
        if kind == "pass":
            days, running = what
            until_us = min(plane.now_us + days * DAY_US, STARTS[MONTHS] - 1)
            (plane.go_to if running else plane.sleep_until)(until_us)
        elif kind == "use":
            quantity, days_late = what
            at_us = max(START_US, plane.now_us - days_late * DAY_US)
            plane.use(quantity, at_us)
            model.use(quantity, at_us)
        elif kind == "plan":
            number = _number(plane.now_us)
            model.plans[number:] = [what[0]] * (MONTHS - number)
            plane.apply(None, on_plan(f"p{what[0]}", anchor_us=START_US))
        elif kind == "reset":
            change_subscription(store, "acme", ResetUsage(), NOW, plane.now_us)
            plane.settle()
            model.reset(plane.now_us)
            if plane.now_us in STARTS:  # the window has never been another generation's
                first.pop(_number(plane.now_us), None)
        else:
            plane.restart()
        for number in range(_number(plane.now_us) + 1):
            if number not in first:
                first[number] = plane.key(STARTS[number])
    plane.settle()
    now = _number(plane.now_us)
    carried = [plane.carried_into(first.get(n) or plane.key(STARTS[n])) for n in range(now + 1)]
    assert list(model.carried(terms, now)) == carried
