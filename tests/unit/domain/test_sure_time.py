"""Time that has passed for certain, whatever clocks say."""

from __future__ import annotations

import pytest

from sidecar.domain.time.sure import KnownTime, SureTime
from sidecar.domain.time.units import DAY_US, HOUR_US, MINUTE_US, SECOND_US
from tests.support.build import NOW_US

YEAR_US = 365 * DAY_US
TICKS_US = 5 * DAY_US


class Clock:
    """A clock that is looked at every ten seconds, and can be set."""

    def __init__(self) -> None:
        self.now_us, self.ticks_us = NOW_US, TICKS_US
        self.sure = SureTime(NOW_US, NOW_US, TICKS_US)

    def goes_on(self, for_us: int) -> int:
        """How far what is certain is behind, after so long."""
        behind_us = self.now_us - self.sure.at(self.now_us, self.ticks_us)
        for _ in range(for_us // (10 * SECOND_US)):
            self.now_us += 10 * SECOND_US
            self.ticks_us += 10 * SECOND_US
            behind_us = self.now_us - self.sure.at(self.now_us, self.ticks_us)
        return behind_us


def test_a_clock_that_goes_on_is_followed() -> None:
    assert 0 == Clock().goes_on(2 * HOUR_US)


@pytest.mark.parametrize("leap_us", [2 * MINUTE_US, HOUR_US, DAY_US, YEAR_US])
def test_a_clock_that_leaps_ahead_is_followed_once_it_has_stood_as_long(leap_us: int) -> None:
    clock = Clock()
    clock.now_us += leap_us
    needed_us = min(leap_us, DAY_US)
    assert leap_us == clock.goes_on(needed_us - 10 * SECOND_US)
    assert 0 == clock.goes_on(10 * SECOND_US)


def test_a_year_that_is_taken_back_after_an_hour_has_never_passed() -> None:
    clock = Clock()
    clock.goes_on(10 * HOUR_US)
    for _ in range(20):
        clock.now_us += YEAR_US
        assert YEAR_US == clock.goes_on(HOUR_US)
        clock.now_us -= YEAR_US
        assert 0 == clock.goes_on(HOUR_US)


def test_a_clock_that_is_slowly_put_right_is_followed() -> None:
    clock = Clock()
    for _ in range(600):
        clock.now_us += 5 * SECOND_US
        assert 0 == clock.goes_on(10 * SECOND_US)


def test_a_clock_set_back_is_never_ahead_of_itself() -> None:
    clock = Clock()
    clock.now_us -= HOUR_US
    assert 0 == clock.goes_on(MINUTE_US)


@pytest.mark.parametrize(
    ("boot", "ticks_us", "expected"),
    [
        pytest.param("one", TICKS_US + HOUR_US, HOUR_US, id="the same boot: by the counter"),
        pytest.param("two", TICKS_US + HOUR_US, None, id="another boot"),
        pytest.param("", TICKS_US + HOUR_US, None, id="no name for it"),
        pytest.param("one", TICKS_US - 1, None, id="the counter was set back: it is another"),
    ],
)
def test_what_has_passed_since_the_last_process(
    boot: str, ticks_us: int, expected: int | None
) -> None:
    known = KnownTime(NOW_US, NOW_US - 7, 0, "one", TICKS_US)
    assert expected == known.passed_us(boot, ticks_us)
    sure = SureTime.after(known, boot, NOW_US + YEAR_US, ticks_us)
    assert NOW_US - 7 + (expected or 0) == sure.at(NOW_US + YEAR_US, ticks_us)


@pytest.mark.parametrize(
    ("boot", "elapsed_us", "expected"),
    [
        pytest.param("one", NOW_US - DAY_US, NOW_US - DAY_US + HOUR_US, id="the same boot"),
        pytest.param("two", NOW_US - DAY_US, NOW_US - DAY_US, id="another boot: nobody saw it"),
        pytest.param("one", None, NOW_US - 7 + HOUR_US, id="a version before: what was certain"),
    ],
)
def test_what_has_elapsed_goes_on_by_the_counter_alone(
    boot: str, elapsed_us: int | None, expected: int
) -> None:
    known = KnownTime(NOW_US, NOW_US - 7, 0, "one", TICKS_US, elapsed_us)
    ticks_us = TICKS_US + HOUR_US
    sure = SureTime.after(known, boot, NOW_US + YEAR_US, ticks_us)
    assert expected == sure.elapsed_us(ticks_us)
    for leap_us in (-YEAR_US, YEAR_US):
        sure.at(NOW_US + leap_us, ticks_us)
        assert expected + DAY_US == sure.elapsed_us(ticks_us + DAY_US)


def test_nothing_known_is_nothing_to_keep() -> None:
    assert NOW_US == SureTime.after(None, "one", NOW_US, TICKS_US).at(NOW_US, TICKS_US)


def test_where_no_boot_has_a_name_none_is_the_same() -> None:
    known = KnownTime(NOW_US, NOW_US, 0, "", TICKS_US)
    assert known.passed_us("", TICKS_US) is None
