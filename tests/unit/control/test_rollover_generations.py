"""What is carried where counters start anew, under an override, and in a pause: on the plane.

A limit of 100 a month; what is left carries over for 3 months. It begins on 10 January 2026.
"""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import EntitlementGrant, Limit, Rollover
from sidecar.domain.company.model import Company, Override, Pause, ScheduledChange, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    ResetUsage,
    SubscriptionChange,
    When,
)
from tests.unit.control.rollover_plane import (
    BILLING_MONTH,
    RolloverPlane,
    catalog_of,
    monthly,
    on_plan,
    utc,
)

THREE: Final = Rollover(3)
CALENDAR: Final = monthly(THREE)
BILLING: Final = monthly(THREE, window=BILLING_MONTH)
JANUARY, FEBRUARY, MARCH = (utc(2026, month, 15) for month in (1, 2, 3))
NEW_CYCLE: Final = ChangePlan("pro", moves_anchor=True)


def begun(store: PlaneStore, limit: Limit, company: Company | None = None) -> RolloverPlane:
    """40 of 100 are used in January; it is 15 February, and 60 were carried into it."""
    plane = RolloverPlane(store)
    plane.apply(catalog_of(pro=limit), company or on_plan())
    plane.use(40)
    plane.go_to(FEBRUARY)
    return plane


def change(plane: RolloverPlane, wanted: SubscriptionChange, when: When = NOW) -> None:
    change_subscription(plane.store, "acme", wanted, when, plane.now_us)
    plane.settle()


AT_ONCE: dict[str, tuple[Limit, int, SubscriptionChange, tuple[int, ...]]] = {
    "a reset keeps what was carried": (CALENDAR, 0, ResetUsage(), (60,)),
    "a reset gives back what was used of it": (CALENDAR, 50, ResetUsage(), (60,)),
    "so it does on billing months": (BILLING, 50, ResetUsage(), (60,)),
    "a new billing cycle keeps what is not used": (BILLING, 50, NEW_CYCLE, (10,)),
    "it gives back nothing": (BILLING, 90, NEW_CYCLE, ()),
    "a new billing cycle is nothing to a calendar month": (CALENDAR, 50, NEW_CYCLE, (60,)),
    "a new cycle with a reset gives it back": (
        BILLING,
        90,
        ChangePlan("pro", resets_usage=True, moves_anchor=True),
        (60,),
    ),
}


@pytest.mark.parametrize(("limit", "used", "wanted", "expected"), AT_ONCE.values(), ids=AT_ONCE)
def test_at_once(
    store: PlaneStore,
    limit: Limit,
    used: int,
    wanted: SubscriptionChange,
    expected: tuple[int, ...],
) -> None:
    plane = begun(store, limit)
    plane.use(used)
    change(plane, wanted)
    assert expected == plane.carried(plane.now_us)


@pytest.mark.parametrize(("limit", "used", "wanted", "expected"), AT_ONCE.values(), ids=AT_ONCE)
def test_as_planned(
    store: PlaneStore,
    limit: Limit,
    used: int,
    wanted: SubscriptionChange,
    expected: tuple[int, ...],
) -> None:
    plane = begun(store, limit)
    plane.use(used)
    change(plane, wanted, When(ChangeTime.AT, utc(2026, 2, 20)))
    plane.go_to(utc(2026, 2, 20) - 1)
    assert (60,) == plane.carried(plane.now_us)
    plane.go_to(utc(2026, 2, 20))
    assert expected == plane.carried(plane.now_us)


def test_resets_add_nothing_up(store: PlaneStore) -> None:
    plane = begun(store, CALENDAR)
    for used in (10, 70, 0):
        plane.use(used)
        plane.now_us += 1_000_000
        change(plane, ResetUsage())
        assert (60,) == plane.carried(plane.now_us)
    plane.use(30)
    plane.go_to(MARCH)
    assert (100, 30) == plane.carried(MARCH)


def test_the_period_end_passes_on_what_is_left_to_a_plan_that_starts_anew(
    store: PlaneStore,
) -> None:
    plane = begun(store, BILLING)
    plane.use(10)
    change(plane, ChangePlan("pro", resets_usage=True), PERIOD_END)
    plane.go_to(MARCH)
    assert (100, 50) == plane.carried(MARCH)


def test_a_reset_that_is_dropped_leaves_the_chain_as_it_was(store: PlaneStore) -> None:
    plane = begun(store, CALENDAR)
    change(plane, ResetUsage(), When(ChangeTime.AT, utc(2026, 2, 20)))
    plane.go_to(utc(2026, 2, 20) - 1)
    never = plane.key(utc(2026, 2, 20))
    assert (60,) == plane.carried_into(never)
    change(plane, DropPlannedChanges())
    plane.go_to(utc(2026, 2, 25))
    assert None is plane.carried_into(never)
    plane.use(10)
    plane.go_to(MARCH)
    assert (100, 50) == plane.carried(MARCH)


def test_usage_that_arrives_late_is_taken_from_what_a_new_cycle_took_over(
    store: PlaneStore,
) -> None:
    plane = begun(store, BILLING)
    change(plane, NEW_CYCLE)
    plane.go_to(utc(2026, 2, 20))
    assert (60,) == plane.carried(plane.now_us)
    plane.use(25, FEBRUARY - 1)
    assert (35,) == plane.carried(plane.now_us)
    plane.use(35, utc(2026, 1, 20))
    assert () == plane.carried(plane.now_us)


def test_usage_that_arrives_late_is_taken_from_what_a_reset_kept(store: PlaneStore) -> None:
    plane = begun(store, CALENDAR)
    change(plane, ResetUsage())
    plane.use(25, FEBRUARY - 1)
    assert (60,) == plane.carried(plane.now_us)
    plane.use(25, utc(2026, 1, 20))
    assert (35,) == plane.carried(plane.now_us)


BONUS: dict[str, EntitlementGrant] = {
    "unlimited": EntitlementGrant("tokens"),
    "more, without rollover": EntitlementGrant("tokens", limits=(monthly(None, 5_000),)),
    "another window": EntitlementGrant("tokens", limits=(monthly(None, 50, BILLING_MONTH),)),
}


@pytest.mark.parametrize("grant", BONUS.values(), ids=BONUS)
def test_a_bonus_over_the_end_of_a_month_wipes_nothing(
    store: PlaneStore, grant: EntitlementGrant
) -> None:
    plane = begun(store, CALENDAR)
    bonus = replace(on_plan(), overrides=(Override(grant, utc(2026, 3, 2)),))
    plane.apply(None, bonus)
    plane.go_to(MARCH)
    assert (100, 60) == plane.carried(MARCH)


def test_an_override_that_stays_leaves_the_chain_for_when_it_is_taken_back(
    store: PlaneStore,
) -> None:
    plane = begun(store, CALENDAR)
    plane.apply(None, replace(on_plan(), overrides=(Override(BONUS["unlimited"], FOREVER_US),)))
    plane.go_to(MARCH)
    plane.apply(None, on_plan())
    assert (100, 60) == plane.carried(MARCH)


@pytest.mark.parametrize(
    ("while_paused", "until", "expected"),
    [
        pytest.param(True, utc(2026, 3, 10), (100, 50), id="it earns"),
        pytest.param(False, utc(2026, 3, 10), (0, 50), id="it earns nothing"),
        pytest.param(False, utc(2026, 2, 28), (100, 50), id="it is over before the window is"),
    ],
)
def test_a_pause_over_the_end_of_a_month(
    store: PlaneStore, while_paused: bool, until: int, expected: tuple[int, ...]
) -> None:
    paused = Subscription("pro", utc(2026, 1, 1), pause=Pause(utc(2026, 2, 20), until))
    plane = begun(
        store,
        monthly(Rollover(3, while_paused=while_paused)),
        replace(on_plan(), subscription=paused),
    )
    plane.use(10)
    plane.go_to(MARCH)
    assert expected == plane.carried(MARCH)


def test_a_planned_reset_is_told_before_it_comes(store: PlaneStore) -> None:
    """Sidecars know what comes into the new counters when they open."""
    reset = ScheduledChange(utc(2026, 2, 20), resets_usage=True)
    company = replace(
        on_plan(), subscription=Subscription("pro", utc(2026, 1, 1), changes=(reset,))
    )
    plane = begun(store, CALENDAR, company)
    plane.go_to(reset.at_us - 1)
    assert (60,) == plane.carried(reset.at_us)
