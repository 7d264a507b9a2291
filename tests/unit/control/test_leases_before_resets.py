"""What is leased of before a reset counts on what is given anew, until it is told or given back."""

from __future__ import annotations

import pytest

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.model import Company, ScheduledChange, Subscription
from sidecar.domain.time.units import HOUR_US
from tests.unit.control.leasing_plane import DAILY, day
from tests.unit.control.support import CAROL, DAY_START_US, NOW_US
from tests.unit.control.test_leases_before import HELD, USED, Moving


@pytest.fixture
def plane(store: PlaneStore) -> Moving:
    plane = Moving(store)
    plane.apply()
    return plane


def reset_at(plane: Moving, at_us: int) -> None:
    """Plan a reset of all usage."""
    reset = ScheduledChange(at_us, resets_usage=True)
    subscription = Subscription("pro", DAY_START_US, changes=(reset,))
    plane.apply(DAILY, Company("acme", subscription=subscription))


def test_a_reset_leaves_to_who_has_not_heard_of_it_what_it_holds(plane: Moving) -> None:
    plane.hold()
    reset_at(plane, NOW_US + HOUR_US)
    plane.now_us = NOW_US + HOUR_US
    anew = plane.counter()
    assert 100 - HELD == plane.most(anew)
    # It hears of the reset, and its lease of its end; what it has counted is still under way.
    plane.ask(day(), held=USED + HELD, used=USED + 30)
    assert 0 == plane.most(anew, CAROL)
    plane.spend(30, day())  # the plane counts it where it belongs
    assert 0 == plane.most(anew, CAROL)
    plane.ask(day(), held=USED + 30, used=USED + 30)  # it has heard, and gives back the rest
    assert HELD - 30 == plane.most(anew, CAROL)


def test_usage_of_before_a_reset_takes_nothing_of_what_is_given_anew(plane: Moving) -> None:
    plane.hold()
    reset_at(plane, NOW_US + HOUR_US)
    plane.spend(HELD, day())
    plane.now_us = NOW_US + HOUR_US
    assert 100 == plane.most(plane.counter())


def test_a_lease_that_a_planned_reset_ends_takes_nothing_of_what_is_given_anew(
    plane: Moving,
) -> None:
    reset_at(plane, NOW_US + HOUR_US)
    plane.hold()
    plane.now_us = NOW_US + HOUR_US
    assert 100 == plane.most(plane.counter())
