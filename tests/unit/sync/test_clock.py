"""The time that a sidecar goes by: estimated from exchanges with the plane, and not its jumps."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from sidecar.sync.machine.clock import (
    JUMP_US,
    QUIET_US,
    STEP_US,
    TOLERANCE_US,
    ClockNews,
)
from tests.support.build import NOW_US
from tests.support.node_time import BOOT_US, Node

YEAR_US = 365 * DAY_US


def test_the_machines_clock_is_what_there_is_before_the_first_exchange() -> None:
    assert 7 * SECOND_US == Node(wall_us=7 * SECOND_US).off_us


@pytest.mark.parametrize("wall_us", [HOUR_US, -HOUR_US, SECOND_US, YEAR_US])
def test_with_nothing_to_lose_the_plane_is_believed_at_once(wall_us: int) -> None:
    node = Node(wall_us=wall_us)
    node.exchange()
    assert (0, -wall_us) == (node.off_us, node.estimate.offset_us)


def test_a_plane_whose_first_word_was_wrong_is_soon_believed_when_it_is_put_right() -> None:
    node = Node(plane_us=YEAR_US)
    node.goes_on(HOUR_US)
    assert YEAR_US == node.off_us
    node.plane_us = 0
    node.goes_on(MINUTE_US)
    assert abs(node.off_us) <= TOLERANCE_US


@pytest.mark.parametrize("wall_us", [0, TOLERANCE_US, -TOLERANCE_US])
def test_small_offsets_are_left_alone(wall_us: int) -> None:
    node = Node(wall_us=wall_us)
    node.goes_on(MINUTE_US)
    assert (wall_us, 0) == (node.off_us, node.estimate.offset_us)


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_the_error_is_at_most_half_the_round_trip(skew: float) -> None:
    node = Node(wall_us=10 * SECOND_US)
    node.exchange(2 * SECOND_US, skew)
    assert abs(node.off_us) <= SECOND_US


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_a_clock_that_is_right_stays_so_however_long_exchanges_take(skew: float) -> None:
    node = Node()
    for n in range(20):
        node.goes_on(SECOND_US, exchanges=False)
        node.exchange(SECOND_US - n, skew)
        assert 0 == node.off_us
    assert [] == node.news


def test_the_shortest_round_trip_is_believed() -> None:
    node = Node(wall_us=SECOND_US, known=KnownTime(NOW_US + SECOND_US, 0, 0, "one", BOOT_US))
    for round_trip_us, skew in [(SECOND_US, 0.0), (1000, 0.5), (SECOND_US, 1.0)]:
        node.exchange(round_trip_us, skew)
    node.goes_on(MINUTE_US, exchanges=False)
    assert 0 == node.off_us


def test_a_slow_drift_is_followed() -> None:
    node = Node()
    node.exchange()
    for _ in range(600):
        node.plane_us += 10_000
        node.goes_on(SECOND_US)
        assert abs(node.off_us - node.plane_us) <= 3 * TOLERANCE_US
    assert [] == node.news


@pytest.mark.parametrize("jump_us", [30 * SECOND_US, -400 * SECOND_US, HOUR_US, YEAR_US, -YEAR_US])
def test_a_clock_that_is_set_while_the_sidecar_runs_changes_nothing(jump_us: int) -> None:
    node = Node()
    node.goes_on(MINUTE_US)
    node.wall_us += jump_us
    node.goes_on(HOUR_US)
    assert (0, -jump_us) == (node.off_us, node.estimate.offset_us)
    assert [] == node.news


@pytest.mark.parametrize("jump_us", [30 * SECOND_US, -400 * SECOND_US, HOUR_US, YEAR_US, -YEAR_US])
def test_a_plane_that_jumps_is_not_obeyed_at_once_and_may_take_it_back(jump_us: int) -> None:
    node = Node()
    node.goes_on(MINUTE_US)
    node.plane_us += jump_us
    node.goes_on(min(abs(jump_us) // 2, HOUR_US))
    assert (0, [ClockNews.DOUBTED]) == (node.off_us, node.news)
    assert abs(node.estimate.doubted_us - jump_us) <= JUMP_US
    node.plane_us -= jump_us
    node.goes_on(QUIET_US + SECOND_US)
    assert 0 == node.off_us == node.estimate.doubted_us
    assert [ClockNews.DOUBTED, ClockNews.TAKEN_BACK] == node.news


@pytest.mark.parametrize(
    ("jump_us", "repeated_us"),
    [
        pytest.param(5 * SECOND_US, 30 * SECOND_US, id="half a minute at least"),
        pytest.param(-400 * SECOND_US, 400 * SECOND_US, id="as long as it is wide"),
        pytest.param(YEAR_US, DAY_US, id="a day at the most"),
    ],
)
def test_a_jump_that_is_repeated_for_long_is_believed(jump_us: int, repeated_us: int) -> None:
    node = Node()
    node.exchange()
    node.plane_us += jump_us
    node.exchange()
    each_us = repeated_us // 20
    node.goes_on(repeated_us - each_us, each_us=each_us)
    assert [ClockNews.DOUBTED] == node.news
    node.goes_on(2 * each_us, each_us=each_us)
    assert [ClockNews.DOUBTED, ClockNews.BELIEVED] == node.news
    node.goes_on(2 * STEP_US)
    assert jump_us == node.off_us


def test_a_jump_is_not_believed_for_being_said_twice_and_long_apart() -> None:
    node = Node()
    node.exchange()
    node.plane_us += HOUR_US
    for _ in range(2):
        node.exchange()
        node.goes_on(DAY_US, exchanges=False, each_us=HOUR_US)
    assert (0, [ClockNews.DOUBTED]) == (node.off_us, node.news)


def test_what_is_believed_is_made_up_for_slowly() -> None:
    node = Node()
    node.exchange()
    node.plane_us += MINUTE_US
    node.goes_on(MINUTE_US + 5 * SECOND_US)
    while node.off_us != MINUTE_US:
        before_us = node.off_us
        node.goes_on(SECOND_US)
        assert 0 < node.off_us - before_us <= SECOND_US // 2 + 1000


def test_two_planes_that_disagree_are_one_trouble() -> None:
    """Behind one address, and asked in turns: neither news each time, nor ever obeyed."""
    node = Node()
    node.exchange()
    for _ in range(1000):
        node.plane_us = 400 * SECOND_US - node.plane_us
        node.goes_on(SECOND_US)
    assert (0, [ClockNews.DOUBTED]) == (node.off_us, node.news)


def test_where_the_machines_clock_says_the_same_a_jump_takes_an_hour_at_most() -> None:
    """As after a machine that was halted for two days: its counter has stood still, too."""
    node = Node()
    node.exchange()
    node.plane_us = node.wall_us = 2 * DAY_US
    node.goes_on(HOUR_US - MINUTE_US, each_us=MINUTE_US)
    assert 0 == node.off_us
    node.goes_on(2 * MINUTE_US, each_us=MINUTE_US)
    assert abs(node.off_us - 2 * DAY_US) <= TOLERANCE_US


@pytest.mark.parametrize("jump_us", [YEAR_US, -YEAR_US, 30 * SECOND_US])
@pytest.mark.parametrize("authority", [True, False])
def test_without_the_plane_a_clock_that_is_set_is_doubted_like_one(
    jump_us: int, authority: bool
) -> None:
    node = Node(authority=authority)
    node.goes_on(MINUTE_US, exchanges=False)
    node.wall_us = jump_us
    node.goes_on(29 * SECOND_US, exchanges=False)
    assert (0, [ClockNews.DOUBTED]) == (node.off_us, node.news)
    node.goes_on(25 * HOUR_US, exchanges=False, each_us=10 * SECOND_US)
    assert (jump_us, [ClockNews.DOUBTED, ClockNews.BELIEVED]) == (node.off_us, node.news)


@pytest.mark.parametrize("boot", ["one", "two"])
def test_the_offset_is_known_after_a_restart_without_the_plane(boot: str) -> None:
    node = Node(wall_us=-600 * SECOND_US)
    node.exchange()
    for _ in range(3):
        node.restart(down_us=10 * MINUTE_US, boot=boot)
        node.goes_on(MINUTE_US, exchanges=False)
        assert (0, 600 * SECOND_US) == (node.off_us, node.estimate.offset_us)
    node.exchange()
    assert (0, []) == (node.off_us, node.news)


@pytest.mark.parametrize("jump_us", [HOUR_US, YEAR_US, -YEAR_US])
def test_a_clock_set_between_two_processes_of_a_boot_is_noticed(jump_us: int) -> None:
    node = Node()
    node.exchange()
    node.wall_us = jump_us
    node.restart(down_us=MINUTE_US)
    node.goes_on(HOUR_US - 2 * MINUTE_US, exchanges=False)
    assert (0, max(0, -jump_us)) == (node.off_us, node.missing_us)
    node.exchange()
    assert 0 == node.off_us


def test_a_clock_that_is_behind_after_another_boot_waits_for_the_plane() -> None:
    node = Node()
    node.exchange()
    node.wall_us = -YEAR_US
    node.restart(down_us=HOUR_US, boot="two")
    node.goes_on(MINUTE_US, exchanges=False)
    assert -HOUR_US == node.off_us  # never before what was known
    node.exchange()
    assert 0 == node.off_us


def test_a_clock_put_right_while_the_machine_was_off_is_believed_with_the_plane() -> None:
    node = Node(wall_us=-600 * SECOND_US)
    node.exchange()
    node.wall_us = 0
    node.restart(down_us=HOUR_US, boot="two")
    node.exchange()
    assert (0, 0) == (node.off_us, node.estimate.offset_us)


@pytest.mark.parametrize("boot", ["one", "two"])
def test_a_plane_that_jumped_between_two_processes_is_doubted(boot: str) -> None:
    node = Node()
    node.exchange()
    node.plane_us = YEAR_US
    node.restart(down_us=MINUTE_US, boot=boot)
    node.goes_on(HOUR_US)
    assert (0, [ClockNews.DOUBTED]) == (node.off_us, node.news)


def _forgetting(node: Node, steps: Sequence[str]) -> None:
    for step in steps:
        match step:
            case "plane jumps":
                node.plane_us = YEAR_US
            case "clock jumps":
                node.wall_us = YEAR_US
            case "restart":
                node.restart(down_us=SECOND_US)
            case "reboot":
                node.restart(down_us=SECOND_US, boot="two")
        node.goes_on(HOUR_US, exchanges="plane jumps" in steps, each_us=10 * SECOND_US)


@pytest.mark.parametrize(
    "steps",
    [
        pytest.param(["plane jumps"], id="plane"),
        pytest.param(["clock jumps"], id="machine"),
        pytest.param(["plane jumps", "clock jumps"], id="both"),
        pytest.param(["plane jumps", "restart"], id="plane, then a restart"),
        pytest.param(["clock jumps", "restart"], id="machine, then a restart"),
        pytest.param(["clock jumps", "reboot"], id="machine, then another boot"),
        pytest.param(["plane jumps", "clock jumps", "reboot"], id="both, then another boot"),
    ],
)
def test_no_year_has_passed_for_certain_after_hours(steps: list[str]) -> None:
    """Whoever says so: what expires within a day is still there, and was never forgotten."""
    node = Node()
    node.exchange()
    started_us = node.true_us
    _forgetting(node, steps)
    assert node.estimate.sure_us(node.ticks_us) <= node.true_us
    assert node.true_us - started_us < DAY_US
