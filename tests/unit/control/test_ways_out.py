"""A catalog that drops what calls gave companies is refused with the ways out, which lead out."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.rules.ownership import TakeOver
from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.overrides import grant_override, revoke_override
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import AddOn, EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Company, Override, Subscription
from sidecar.domain.company.subscription_changes import (
    NOW,
    ChangePlan,
    ChangeTime,
    OnPlanned,
    SetAddOn,
    When,
)
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US, catalog

_PLANS: Final = catalog({"pro": [], "basic": []}, {"sso": FeatureKind.BOOLEAN})
SOLD: Final = replace(_PLANS, add_ons=(AddOn("pack"),))
LESS: Final = replace(_PLANS, features=(), plans=_PLANS.plans[:1])
"""Without the add-on, the feature and one of the plans."""
NEXT: Final = When(ChangeTime.AT, NOW_US + DAY_US)


def bought(name: str) -> Company:
    return Company(name, subscription=Subscription(LESS.plans[0].key, NOW_US))


def start(store: PlaneStore, *names: str) -> list[Company]:
    """Companies of a file, each with an add-on, a grant and a planned plan of calls."""
    companies = [bought(name) for name in names]
    apply.apply(store, Desired(SOLD, tuple(companies)), NOW_US)
    other = next(plan.key for plan in SOLD.plans if plan.key != LESS.plans[0].key)
    for name in names:
        for change, when in ((SetAddOn("pack", 3), NOW), (ChangePlan(other), NEXT)):
            change_subscription(store, name, change, when, NOW_US, OnPlanned.KEEP)
        granted = Override(EntitlementGrant("sso", id=f"{name}-1", enabled=True))
        grant_override(store, name, granted, NOW_US)
    return companies


def refusal(store: PlaneStore, *given: Company, take_over: TakeOver | None = None) -> InvalidInput:
    desired = Desired(LESS, given, take_over=take_over or TakeOver(everything=True))
    with pytest.raises(InvalidInput) as refused:
        apply.apply(store, desired, NOW_US)
    return refused.value


def ways(error: InvalidInput) -> list[str]:
    return [part.partition(")")[0] for part in error.message.split("(way out: ")[1:]]


def test_every_thing_of_every_company_of_the_file_is_told_with_its_way_out(
    store: PlaneStore,
) -> None:
    error = refusal(store, *start(store, "acme", "hooli"), take_over=TakeOver())
    assert "companies[0]" == error.field
    assert [
        "--take-over acme.add_ons.pack",
        "--take-over acme.plan",
        "tallyd revoke acme acme-1",
        "--take-over hooli.add_ons.pack",
        "--take-over hooli.plan",
        "tallyd revoke hooli hooli-1",
    ] == sorted(ways(error), key=lambda way: ("hooli" in way, way))
    assert "the catalog has no add-on 'pack'" in error.message


def test_the_ways_out_of_a_company_of_the_file_lead_out(store: PlaneStore) -> None:
    (acme,) = start(store, "acme")
    revoke_override(store, "acme", "acme-1", NOW_US)
    named = frozenset({("acme", "add_ons.pack"), ("acme", "plan")})
    apply.apply(store, Desired(LESS, (acme,), take_over=TakeOver(fields=named)), NOW_US)


def test_a_company_that_the_file_does_not_have_has_ways_of_its_own(store: PlaneStore) -> None:
    start(store, "acme")
    error = refusal(store)
    assert [
        "tallyd revoke acme acme-1",
        "tallyd subscription add-on acme pack 0",
        "tallyd subscription drop-planned acme",
    ] == sorted(ways(error))


def test_a_plan_that_is_dropped_under_such_a_company_is_told_with_the_change(
    store: PlaneStore,
) -> None:
    other = next(plan.key for plan in SOLD.plans if plan.key != LESS.plans[0].key)
    held = Company("acme", subscription=Subscription(other, NOW_US))
    apply.apply(store, Desired(SOLD, (held,)), NOW_US)
    assert ["tallyd subscription change acme --plan PLAN"] == ways(refusal(store))


def test_what_is_told_at_once_is_bounded(store: PlaneStore) -> None:
    start(store, *(f"company-{at:02}" for at in range(9)))
    error = refusal(store)
    assert 10 == len(ways(error))
    assert error.message.endswith("; and more")
