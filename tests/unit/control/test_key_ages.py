"""Whatever a plane's clock does: no idempotency key is free again before its time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.control.services.sweep import IDEMPOTENCY_US, keep_time, last_known_time, sweep
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.sure_clock import SureClock
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.support.build import NOW_US
from tests.unit.control.support import Writer, record

YEAR_US: Final = 365 * DAY_US

Step = tuple[str, int]
"""What happens, and by how much, in microseconds."""

_SPANS: Final = st.integers(3 * SECOND_US, YEAR_US)
_STEPS: Final = st.tuples(st.sampled_from(["jump", "leap back"]), _SPANS) | st.tuples(
    st.sampled_from(["elapse", "elapse", "clock is right", "restart", "reboot"]),
    st.integers(3 * SECOND_US, 20 * DAY_US),
)


class Plane:
    """A database, a clock that is set, and a list of which keys came when, in true time."""

    def __init__(self) -> None:
        self.store = SqliteStore()
        self.writer = Writer()
        self.true_us, self.ticks_us, self.ahead_us = NOW_US, 5 * DAY_US, 0
        self.came: dict[str, int] = {}
        self.begin()

    def begin(self) -> None:
        self.clock = SureClock(lambda: self.true_us + self.ahead_us, lambda: self.ticks_us)
        self.clock.go_on_from(last_known_time(self.store))
        self.tend()

    def take_a_key(self) -> None:
        key = f"k{len(self.writer.records)}"
        self.writer.write(record(1, key=key))
        first = len(self.writer.records)
        now_us = self.true_us + self.ahead_us
        self.writer.push(self.store, first, now_us=now_us, elapsed_us=self.clock.elapsed_us())
        self.came[key] = self.true_us

    def tend(self) -> None:
        while sweep(self.store, self.clock.elapsed_us()):
            pass
        keep_time(self.store, self.clock.known())
        with self.store.read() as transaction:
            found = transaction.key_uses(("acme", key) for key in self.came)
        gone = [key for key in self.came if ("acme", key) not in found]
        assert [] == [key for key in gone if self.true_us - self.came[key] < IDEMPOTENCY_US]
        for key in gone:
            del self.came[key]

    def elapse(self, for_us: int) -> None:
        for _ in range(10):
            self.true_us += for_us // 10
            self.ticks_us += for_us // 10
            self.tend()

    def take(self, step: Step) -> None:
        what, by_us = step
        match what:
            case "elapse":
                self.elapse(by_us)
            case "jump":
                self.ahead_us = by_us
            case "leap back":
                self.ahead_us = -by_us
            case "clock is right":
                self.ahead_us = 0
            case _:
                self.true_us += by_us
                self.ticks_us = MINUTE_US if what == "reboot" else self.ticks_us + by_us
                self.begin()
        self.take_a_key()
        self.tend()

    def run(self, steps: Sequence[Step]) -> None:
        for step in steps:
            self.take(step)
        self.elapse(IDEMPOTENCY_US + DAY_US)
        assert {} == self.came  # and in the end each is free again
        self.store.close()


@given(st.lists(_STEPS, max_size=12))
@settings(max_examples=40)
def test_no_key_is_free_again_before_its_time_and_in_the_end_each_is(steps: list[Step]) -> None:
    Plane().run(steps)


@pytest.mark.parametrize("by_us", [-40 * DAY_US, -YEAR_US, 40 * DAY_US, YEAR_US])
def test_a_key_that_came_under_a_wrong_clock_stays_once_it_is_right(by_us: int) -> None:
    what = "jump" if by_us > 0 else "leap back"
    Plane().run(
        [(what, abs(by_us)), ("elapse", HOUR_US), ("clock is right", 0), ("elapse", 3 * DAY_US)]
    )
