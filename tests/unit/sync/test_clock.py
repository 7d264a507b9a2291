"""The plane's clock, estimated from exchanges with it."""

from __future__ import annotations

import pytest

from sidecar.sync.machine.clock import TOLERANCE_US, ClockEstimate
from tests.support.build import NOW_US

SECOND_US = 1_000_000


def exchange(
    clock: ClockEstimate, at_us: int, round_trip_us: int, offset_us: int, skew: float = 0.5
) -> None:
    """One in which the plane looked at its clock after a part of the round trip."""
    read_us = at_us + int(round_trip_us * skew)
    clock.exchanged(at_us, at_us + round_trip_us, read_us + offset_us)


def test_nothing_is_known_before_the_first_exchange() -> None:
    assert 0 == ClockEstimate().offset_us()


@pytest.mark.parametrize("offset_us", [3600 * SECOND_US, -3600 * SECOND_US, SECOND_US])
def test_an_offset_is_found(offset_us: int) -> None:
    clock = ClockEstimate()
    exchange(clock, NOW_US, 1000, offset_us)
    assert offset_us == clock.offset_us()


@pytest.mark.parametrize("offset_us", [0, TOLERANCE_US, -TOLERANCE_US])
def test_small_offsets_are_left_alone(offset_us: int) -> None:
    clock = ClockEstimate()
    exchange(clock, NOW_US, 1000, offset_us)
    assert 0 == clock.offset_us()


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_the_error_is_at_most_half_the_round_trip(skew: float) -> None:
    clock = ClockEstimate()
    exchange(clock, NOW_US, 2 * SECOND_US, 10 * SECOND_US, skew)
    assert abs(clock.offset_us() - 10 * SECOND_US) <= SECOND_US


@pytest.mark.parametrize("skew", [0.0, 1.0])
def test_a_clock_that_is_right_stays_so_however_long_exchanges_take(skew: float) -> None:
    clock = ClockEstimate()
    for n in range(20):
        exchange(clock, NOW_US + n * SECOND_US, SECOND_US - n, 0, skew)
        assert 0 == clock.offset_us()


def test_the_shortest_round_trip_is_believed() -> None:
    clock = ClockEstimate()
    for round_trip_us, skew in [(SECOND_US, 0.0), (1000, 0.5), (SECOND_US, 1.0)]:
        exchange(clock, NOW_US, round_trip_us, 2 * SECOND_US, skew)
    assert 2 * SECOND_US == clock.offset_us()


def test_a_slow_drift_is_followed() -> None:
    clock = ClockEstimate()
    exchange(clock, NOW_US, 10, SECOND_US)
    for n in range(1, 20):
        exchange(clock, NOW_US + n * SECOND_US, 1000, SECOND_US + n * 100_000)
    assert abs(clock.offset_us() - (SECOND_US + 19 * 100_000)) <= 8 * 100_000


@pytest.mark.parametrize("jump_us", [3600 * SECOND_US, -3600 * SECOND_US])
def test_a_clock_that_is_set_is_noticed_at_once(jump_us: int) -> None:
    clock = ClockEstimate()
    for n in range(8):
        exchange(clock, NOW_US + n * SECOND_US, 1000, 0)
    exchange(clock, NOW_US + jump_us, 2000, -jump_us)
    assert -jump_us == clock.offset_us()


def test_a_clock_set_back_during_an_exchange_voids_what_was_known() -> None:
    clock = ClockEstimate()
    exchange(clock, NOW_US, 1000, 3600 * SECOND_US)
    clock.exchanged(NOW_US, NOW_US - SECOND_US, NOW_US)
    assert 0 == clock.offset_us()
