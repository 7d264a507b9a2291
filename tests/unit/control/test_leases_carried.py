"""What rolled over is leased too, as far as it is certain."""

from __future__ import annotations

import pytest

from sidecar.control.services.earlier_leases import UNSETTLED_US
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.leases.model import LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.leasing_plane import leased
from tests.unit.control.rollover_plane import RolloverPlane, catalog_of, monthly, on_plan, utc
from tests.unit.control.support import ALICE, BOB

JANUARY = utc(2026, 1, 15)
FEBRUARY = utc(2026, 2, 1)


class LeasingPlane(RolloverPlane):
    """One whose limit rolls over, and that is asked for leases of it."""

    numbers = 0

    def ask(
        self, at_us: int, need: int = 0, *, held: int = 0, used: int = 0, who: str = BOB
    ) -> LeaseResult:
        self.numbers += 1
        key = self.key(at_us)
        name = CounterName(key.company, key.feature, key.counter)
        request = LeaseRequest(name, self.numbers, held, used, need, need)
        return leased(self.store, who, [request], self.now_us).results[0]


@pytest.fixture
def plane(store: PlaneStore) -> LeasingPlane:
    """100 a month, of which a month's rest is kept; 30 of January's are used, and 20 leased."""
    plane = LeasingPlane(store)
    plane.apply(catalog_of(pro=monthly()), on_plan())
    plane.use(30, JANUARY)
    assert 20 == plane.ask(JANUARY, 20).granted
    return plane


def _most(plane: LeasingPlane) -> int:
    """The most that can be had of February, by who has nothing yet."""
    most = 200
    while plane.ask(FEBRUARY, most, who=ALICE).status is not LeaseStatus.GRANTED:
        most -= 1
    return most


def test_what_is_leased_of_the_window_before_is_not_certain_to_be_left(
    plane: LeasingPlane,
) -> None:
    plane.go_to(FEBRUARY)
    assert (70,) == plane.carried(FEBRUARY)
    assert 100 + 70 - 20 == _most(plane)


def test_what_was_given_back_of_it_is(plane: LeasingPlane) -> None:
    plane.go_to(FEBRUARY)
    assert 5 == plane.ask(JANUARY, held=5, used=5).granted
    assert 100 + 70 - 5 == _most(plane)


def test_what_was_used_of_it_has_gone_from_what_was_carried(plane: LeasingPlane) -> None:
    plane.go_to(FEBRUARY)
    plane.ask(JANUARY, held=0)
    plane.use(20, JANUARY)
    assert (50,) == plane.carried(FEBRUARY)
    assert 100 + 50 == _most(plane)


def test_after_a_day_what_a_silent_holder_has_is_taken_to_be_left(plane: LeasingPlane) -> None:
    plane.go_to(FEBRUARY + UNSETTLED_US)
    assert 100 + 70 == _most(plane)


def test_before_a_window_opens_nothing_of_what_is_carried_into_it_is_leased(
    plane: LeasingPlane,
) -> None:
    plane.go_to(FEBRUARY - SECOND_US)
    assert (70,) == plane.carried(FEBRUARY)
    assert 100 == _most(plane)


def test_a_window_that_opens_soon_is_leased_no_more_than_its_own_amount(
    store: PlaneStore,
) -> None:
    plane = LeasingPlane(store)
    minute = WindowSpec(WindowUnit.MINUTE)
    plane.apply(catalog_of(pro=monthly(window=minute)), on_plan())
    plane.go_to(FEBRUARY - SECOND_US)  # all of January's last minute is left so far
    assert (100,) == plane.carried(FEBRUARY)
    assert 100 == _most(plane)
    assert 100 == plane.ask(FEBRUARY - SECOND_US, 100).granted


def test_until_it_is_worked_out_what_is_carried_is_not_leased(store: PlaneStore) -> None:
    plane = LeasingPlane(store)
    plane.apply(catalog_of(pro=monthly()), on_plan())
    plane.now_us = FEBRUARY  # and nothing has been done since
    assert 100 == _most(plane)
