"""Moves to another version of a plan: each at the end of the company's own billing period."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.company.held_plans import bought_at
from sidecar.domain.company.model import ScheduledChange, Subscription
from sidecar.domain.company.subscription_changes import NOW, ChangePlan, OnPlanned
from sidecar.domain.company.subscription_lifecycle import apply_change
from sidecar.domain.company.version_moves import moved_to_version
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import NOW_US
from tests.unit.domain.lifecycle_samples import ANCHOR_US, PERIOD_END_US

OLD: Final = Subscription("pro", ANCHOR_US, plan_version=1)


def moved(
    subscription: Subscription, now_us: int = NOW_US, zone: str = "UTC", version: int = 2
) -> Subscription:
    return moved_to_version(subscription, "pro", version, NOW_US, now_us, zone)


def versions(subscription: Subscription, *instants_us: int) -> list[tuple[str, int]]:
    held = [bought_at(subscription, at_us) for at_us in instants_us]
    return [(held.plan, held.plan_version) for held in held]


@pytest.mark.parametrize(
    ("zone", "end_us"),
    [("UTC", PERIOD_END_US), ("Europe/Berlin", PERIOD_END_US - HOUR_US)],
)
def test_it_is_at_the_end_of_the_period_in_the_companys_zone(zone: str, end_us: int) -> None:
    after = moved(OLD, zone=zone)
    assert versions(after, end_us - 1, end_us) == [("pro", 1), ("pro", 2)]
    assert moved(after, zone=zone) == after


def test_a_company_whose_period_is_over_is_moved_at_once() -> None:
    late_us = PERIOD_END_US + DAY_US
    after = moved(OLD, now_us=late_us)
    assert versions(after, late_us) == [("pro", 2)]
    assert moved(after, now_us=late_us) == after


@pytest.mark.parametrize(
    "subscription",
    [
        pytest.param(Subscription("free", ANCHOR_US), id="another_plan"),
        pytest.param(Subscription("pro", ANCHOR_US, plan_version=2), id="the_version"),
        pytest.param(Subscription("pro", ANCHOR_US, plan_version=3), id="a_later_one"),
    ],
)
def test_who_has_no_earlier_version_stays_as_is(subscription: Subscription) -> None:
    assert moved(subscription) is subscription


def test_who_was_moving_already_moves_on() -> None:
    after = moved(moved(OLD), version=3)
    assert versions(after, NOW_US, PERIOD_END_US) == [("pro", 1), ("pro", 3)]
    later_us = PERIOD_END_US - 1
    again = moved_to_version(moved(OLD), "pro", 3, PERIOD_END_US + 1, later_us, "UTC")
    assert versions(again, later_us, PERIOD_END_US)[1] == ("pro", 2)
    assert bought_at(again, PERIOD_END_US + 31 * DAY_US).plan_version == 3


def test_a_plan_that_is_planned_has_the_new_version() -> None:
    planned = Subscription(
        "free", ANCHOR_US, changes=(ScheduledChange(NOW_US + 1, "pro", plan_version=1),)
    )
    assert versions(moved(planned), NOW_US, NOW_US + 1) == [("free", 0), ("pro", 2)]


def test_a_change_away_at_the_periods_end_stays() -> None:
    leaving = ScheduledChange(PERIOD_END_US, "free", plan_version=5, at_period_end=True)
    after = moved(Subscription("pro", ANCHOR_US, plan_version=1, changes=(leaving,)))
    assert versions(after, PERIOD_END_US) == [("free", 5)]


def test_an_upgrade_meanwhile_is_not_taken_back() -> None:
    upgrade = ChangePlan("team", plan_version=7)
    after = apply_change(moved(OLD), upgrade, NOW, NOW_US, "UTC", OnPlanned.ASK).subscription
    assert versions(after, NOW_US, PERIOD_END_US) == [("team", 7), ("team", 7)]


def test_a_move_follows_the_billing_cycle() -> None:
    anew = ChangePlan("pro", moves_anchor=True, plan_version=1)
    after = moved(apply_change(OLD, anew, NOW, NOW_US, "UTC").subscription)
    (change,) = after.changes
    assert change.at_us > PERIOD_END_US
