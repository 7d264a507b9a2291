"""Since when a call owns a field: since what is in force of it was set."""

from __future__ import annotations

from typing import Final

from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.model import Company, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    OnPlanned,
    SubscriptionChange,
    When,
)
from sidecar.domain.time.units import DAY_US, HOUR_US
from tests.support.build import NOW_US, catalog

FILE: Final = Desired(
    catalog({"basic": [], "max": [], "pro": []}),
    (Company("acme", subscription=Subscription("basic", NOW_US)),),
)
UPGRADED_US: Final = NOW_US + HOUR_US
LATER: Final = When(ChangeTime.AT, NOW_US + 9 * DAY_US)


def since(store: PlaneStore) -> int:
    (owner,) = [
        each for each in directory.get_company(store, "acme").owners if each.path == ("plan",)
    ]
    return owner.since_us


def test_what_is_planned_and_dropped_again_leaves_since_when_the_plan_is_in_force(
    store: PlaneStore,
) -> None:
    apply.apply(store, FILE, NOW_US)
    calls: list[tuple[SubscriptionChange, When, int]] = [
        (ChangePlan("max"), NOW, UPGRADED_US),
        (ChangePlan("pro"), LATER, UPGRADED_US + 1),
        (DropPlannedChanges(), NOW, UPGRADED_US + 2),
    ]
    for change, when, at_us in calls:
        change_subscription(store, "acme", change, when, at_us, OnPlanned.KEEP)
        assert UPGRADED_US == since(store)
    change_subscription(store, "acme", ChangePlan("pro"), NOW, UPGRADED_US + 3, OnPlanned.KEEP)
    assert UPGRADED_US + 3 == since(store)


def test_what_is_planned_first_is_owned_since_it_was_planned(store: PlaneStore) -> None:
    apply.apply(store, FILE, NOW_US)
    change_subscription(store, "acme", ChangePlan("max"), LATER, UPGRADED_US, OnPlanned.KEEP)
    assert UPGRADED_US == since(store)
