"""Usage that arrives late, and a plane that was down: what is carried is as if all were on time."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.control.services import close_windows
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Rollover
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from sidecar.domain.time.windows import Window, WindowSpec, WindowUnit
from tests.unit.control.rollover_plane import (
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)
from tests.unit.control.support import ALICE, BOB, Writer, record

JANUARY: Final = utc(2026, 1, 15)
FEBRUARY: Final = utc(2026, 2, 15)
MARCH: Final = utc(2026, 3, 15)
APRIL: Final = utc(2026, 4, 15)
MAY: Final = utc(2026, 5, 15)


@pytest.fixture
def plane(store: PlaneStore) -> RolloverPlane:
    """On 10 January 2026, with acme on a plan of 100 a month, of which a month's rest is kept."""
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly()), on_plan())
    return plane


def test_usage_of_the_last_minute_counts(plane: RolloverPlane) -> None:
    end_us = utc(2026, 2, 1)
    plane.go_to(end_us - SECOND_US)
    answered = plane.use(30)
    february = plane.key(FEBRUARY)

    assert (70,) == plane.carried_into(february)
    assert [february] == [_key(total) for total in answered.totals if total.carried == (70,)]

    plane.go_to(end_us)
    assert (70,) == plane.carried_into(february)


def test_late_usage_shrinks_what_was_carried(plane: RolloverPlane) -> None:
    plane.use(40)
    plane.go_to(FEBRUARY)
    before = plane.key(FEBRUARY), plane.carried(FEBRUARY)
    answered = plane.use(25, JANUARY)

    assert (60,) == before[1]
    assert (35,) == plane.carried(FEBRUARY)
    told = {_key(total): total for total in answered.totals}
    assert (65, (35,)) == (told[plane.key(JANUARY)].total, told[before[0]].carried)
    assert told[before[0]].version == told[plane.key(JANUARY)].version + 1


def test_usage_that_was_taken_back_is_carried_again(plane: RolloverPlane) -> None:
    counter = plane.key(JANUARY).counter
    twice = record(40, key="k", at_us=JANUARY, counters=[counter])
    for incarnation in (ALICE, BOB):
        writer = Writer(incarnation)
        writer.write(twice)
        plane.go_to(max(plane.now_us, FEBRUARY))
        writer.push(plane.store, now_us=plane.now_us)

    assert (60,) == plane.carried(FEBRUARY)


def test_late_usage_goes_through_every_window_since(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly(Rollover(windows=4))), on_plan())
    plane.go_to(APRIL)
    plane.use(30, MARCH)
    plane.use(150, JANUARY)

    months = (FEBRUARY, MARCH, APRIL)
    assert [(), (100,), (100, 70)] == [plane.carried(month) for month in months]


def test_a_push_that_is_sent_again_is_told_what_is_carried(plane: RolloverPlane) -> None:
    plane.go_to(FEBRUARY)
    answered = plane.use(25, JANUARY)
    again = plane.writer.push(plane.store, now_us=plane.now_us)

    assert 0 == again.added
    assert {_key(total): total.carried for total in answered.totals} == {
        _key(total): total.carried for total in again.totals
    }


def test_a_long_way_is_left_to_the_background(
    plane: RolloverPlane, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane.apply(catalog_of(pro=monthly(Rollover(windows=6))))
    plane.go_to(MAY)
    plane.apply(catalog_of(pro=monthly(Rollover(windows=6), amount=1_000)))
    monkeypatch.setattr(close_windows, "FOLLOW_MAX", 2)
    answered = plane.use(120, JANUARY)
    months = (FEBRUARY, MARCH, APRIL, MAY)
    at_once = [plane.carried(month) for month in months]
    plane.closed.clear()
    plane.settle()

    assert [(), (100,), (100, 100, 100), (100, 100, 100, 100)] == at_once
    assert [(), (100,), (100, 100), (100, 100, 100)] == [plane.carried(month) for month in months]
    assert [plane.key(APRIL), plane.key(MAY)] == plane.closed
    assert plane.key(MAY) in map(_key, answered.totals)


def test_a_plane_that_was_down_catches_up_window_by_window(store: PlaneStore) -> None:
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=monthly(Rollover(windows=2))), on_plan())
    plane.use(40)
    plane.restart()
    plane.sleep_until(APRIL)
    idle = [plane.carried(month) for month in (FEBRUARY, MARCH, APRIL)]
    plane.use(130, FEBRUARY)

    assert [(60,), (100, 60), (100, 100)] == idle
    assert [(60,), (30,), (100, 30)] == [plane.carried(month) for month in (FEBRUARY, MARCH, APRIL)]


def test_terms_stay_as_they_were_at_the_close(plane: RolloverPlane) -> None:
    plane.use(40)
    plane.go_to(FEBRUARY)
    plane.apply(catalog_of(pro=monthly(amount=1_000)))
    plane.use(10, JANUARY)
    plane.go_to(MARCH)

    assert [(50,), (1_000,)] == [plane.carried(FEBRUARY), plane.carried(MARCH)]


def test_late_usage_does_not_reach_what_began_after_the_end(plane: RolloverPlane) -> None:
    plane.apply(catalog_of(pro=monthly(), free=monthly(None, 5)))
    plane.apply(None, on_plan("free"))
    plane.go_to(FEBRUARY)
    plane.apply(None, on_plan())
    before = plane.carried(FEBRUARY)
    plane.use(10, JANUARY)

    assert ((), ()) == (before, plane.carried(FEBRUARY))


def test_usage_before_the_start_is_nothing_to_carry(plane: RolloverPlane) -> None:
    december = plane.move(plane.key(JANUARY), Window(utc(2025, 12, 1), utc(2026, 1, 1)))
    plane.writer.write(
        record(10, at_us=utc(2025, 12, 31), counters=[december.counter]),
    )
    plane.writer.push(plane.store, now_us=plane.now_us)

    assert [None, ()] == [plane.carried_into(december), plane.carried(JANUARY)]


def test_hours_of_an_outage_are_caught_up(store: PlaneStore) -> None:
    plane = RolloverPlane(store, utc(2026, 1, 10))
    hourly = monthly(Rollover(windows=2), 10, WindowSpec(WindowUnit.HOUR))
    plane.apply(catalog_of(pro=hourly), on_plan())
    plane.use(4)
    plane.sleep_until(plane.now_us + 2 * DAY_US)
    now_us = plane.now_us

    assert (10, 10) == plane.carried(now_us)
    plane.use(25, now_us - 2 * HOUR_US)
    assert [(5,), (10, 5)] == [plane.carried(now_us - HOUR_US), plane.carried(now_us)]


def _key(total: CounterTotal) -> CounterKey:
    return CounterKey(total.company, total.feature, total.counter)
