"""The clock of a sidecar: what it tells, counts and logs of jumps."""

from __future__ import annotations

from collections import Counter

import pytest
import structlog

from sidecar.app.clock import MACHINE_AHEAD_US_MAX, PlaneClock
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.shared.wall_clock import ticks_us, wall_us

YEAR_US = 365 * DAY_US


class Setup:
    """A clock over a machine's that is set. `events`: what was logged, without the common."""

    def __init__(self) -> None:
        self.ahead_us = 0
        self.status = PlaneStatus(authority=False)
        self.clock = PlaneClock(self.status, None, self._wall)
        self.jumps: Counter[tuple[str, str]] = Counter()
        self.clock.count_jump = lambda *whose: self.jumps.update([whose])

    def _wall(self) -> int:
        return wall_us() + self.ahead_us

    def hear(self, ahead_us: int) -> None:
        """An exchange with a plane whose clock is so far ahead of the true time."""
        now_ticks_us = ticks_us()
        self.clock.exchanged(now_ticks_us, now_ticks_us, wall_us() + ahead_us)

    def off_us(self) -> int:
        return self.clock.now_us() - wall_us()


def test_a_jump_is_logged_once_and_counted_by_direction() -> None:
    setup = Setup()
    setup.hear(0)
    with structlog.testing.capture_logs() as logged:
        for _ in range(20):
            setup.hear(-YEAR_US)
            setup.clock.look()
    assert ["clock.jump_doubted"] == [entry["event"] for entry in logged]
    assert {("plane", "back"): 1} == setup.jumps
    assert abs(setup.clock.doubted_us + YEAR_US) < HOUR_US
    assert abs(setup.off_us()) < HOUR_US


def test_a_machine_that_is_set_is_counted_and_told_to_be_far_off_until_it_is_near_again() -> None:
    setup = Setup()
    setup.hear(0)
    with structlog.testing.capture_logs() as logged:
        for setup.ahead_us in (YEAR_US, YEAR_US, 0, 0):
            setup.clock.look()
    assert ["clock.far_off", "clock.near_again"] == [entry["event"] for entry in logged]
    assert {("machine", "forward"): 1, ("machine", "back"): 1} == setup.jumps
    assert 0 == setup.clock.doubted_us


@pytest.mark.parametrize(
    ("plane_us", "expected_us"),
    [
        pytest.param(-400 * SECOND_US, 400 * SECOND_US, id="the plane is behind"),
        pytest.param(-YEAR_US, MACHINE_AHEAD_US_MAX, id="an hour at the most"),
        pytest.param(400 * SECOND_US, 0, id="the plane is ahead"),
    ],
)
def test_how_far_callers_stamps_may_be_ahead(plane_us: int, expected_us: int) -> None:
    setup = Setup()
    setup.hear(plane_us)
    assert abs(setup.status.machine_ahead_us - expected_us) < SECOND_US
