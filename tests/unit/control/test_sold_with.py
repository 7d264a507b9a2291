"""Add-ons are held with plans that they are sold with: at the plane, by outcome."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.services import apply, stored_catalog
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    LimitChange,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import AddOnSubscription, Company, ScheduledChange, Subscription
from sidecar.domain.company.subscription_changes import NOW, ChangePlan, ChangeTime, SetAddOn, When
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.support import CATALOG, NOW_US

MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("ever", 5, adds=True),))
PACK: Final = AddOn("pack", "", 0, (AddOnEntitlement(MORE),), ("pro",))
SOLD: Final = msgspec.structs.replace(
    CATALOG, plans=(Plan("free"), *CATALOG.plans), add_ons=(PACK,)
)
HELD: Final = (AddOnSubscription("pack"),)
LATER: Final = When(ChangeTime.AT, NOW_US + HOUR_US)


def company(plan: str, held: tuple[AddOnSubscription, ...], *changes: ScheduledChange) -> Company:
    return Company("acme", subscription=Subscription(plan, 0, add_ons=held, changes=changes))


@pytest.mark.parametrize(
    ("before", "change", "when"),
    [
        pytest.param(company("pro", HELD), ChangePlan("free"), NOW, id="a plan now"),
        pytest.param(company("pro", HELD), ChangePlan("free"), LATER, id="a plan later"),
        pytest.param(company("free", ()), SetAddOn("pack"), NOW, id="an add-on now"),
        pytest.param(company("free", ()), SetAddOn("pack"), LATER, id="an add-on later"),
        pytest.param(
            company("pro", (), ScheduledChange(NOW_US + HOUR_US, "free")),
            SetAddOn("pack"),
            NOW,
            id="an add-on now and another plan later",
        ),
    ],
)
def test_a_change_to_a_plan_without_its_add_on_is_refused(
    store: PlaneStore, before: Company, change: ChangePlan | SetAddOn, when: When
) -> None:
    apply.apply(store, Desired(SOLD, (before,)), NOW_US)
    with pytest.raises(FailedPrecondition) as caught:
        change_subscription(store, "acme", change, when, NOW_US + 1)
    assert "add-on 'pack' is not sold with plan 'free', only with 'pro'" in caught.value.message


def test_a_catalog_that_sells_it_otherwise_is_refused_for_who_holds_it(store: PlaneStore) -> None:
    free = msgspec.structs.replace(PACK, plans=())
    whole = msgspec.structs.replace(free, entitlements=())
    taken = msgspec.structs.replace(SOLD, add_ons=(whole,))
    apply.apply(store, Desired(taken, (company("free", HELD),)), NOW_US)
    with pytest.raises(InvalidInput) as caught:
        apply.apply(store, Desired(SOLD), NOW_US)
    assert "catalog.add_ons" == caught.value.field
    assert "company 'acme' needs it (subscription.add_ons[0].add_on)" in caught.value.message
    apply.apply(store, Desired(SOLD, (company("pro", HELD),)), NOW_US)


def test_what_a_company_was_before_does_not_matter(store: PlaneStore) -> None:
    whole = msgspec.structs.replace(PACK, plans=(), entitlements=())
    taken = msgspec.structs.replace(SOLD, add_ons=(whole,))
    moving = company("free", HELD, ScheduledChange(NOW_US + 1, "pro"))
    apply.apply(store, Desired(taken, (moving,)), NOW_US)
    with pytest.raises(InvalidInput):
        apply.apply(store, Desired(SOLD), NOW_US)
    assert 1 == apply.apply(store, Desired(SOLD), NOW_US + 1).changed


def test_an_add_on_fits_the_version_of_a_plan_that_companies_keep(store: PlaneStore) -> None:
    def sold(window: WindowSpec) -> Catalog:
        pack = EntitlementGrant("tokens", limits=(Limit("pack", window, 5),))
        grant = EntitlementGrant("tokens", limits=(Limit("most", window, 10),))
        plan = Plan("pro", "", (grant,), existing=ExistingCompanies.KEEP)
        add_on = AddOn("pack", "", 0, (AddOnEntitlement(pack),))
        return Catalog(CATALOG.features, (plan,), (add_on,))

    by_month, by_day = sold(WindowSpec(WindowUnit.MONTH)), sold(WindowSpec(WindowUnit.DAY))
    apply.apply(store, Desired(by_month, (company("pro", HELD),)), NOW_US)
    with pytest.raises(InvalidInput) as caught:
        apply.apply(store, Desired(by_day), NOW_US)
    assert "catalog.add_ons" == caught.value.field
    assert "no limit of plan 'pro' as it was sold before counts alike" in caught.value.message
    named = EntitlementGrant("tokens", limit_changes=(LimitChange("most", 5, adds=True),))
    add_on = AddOn("pack", "", 0, (AddOnEntitlement(named),))
    by_name = msgspec.structs.replace(by_day, add_ons=(add_on,))
    assert 2 == apply.apply(store, Desired(by_name), NOW_US).changed


def test_a_catalog_of_before_whose_add_on_lowers_is_told_and_goes_on(store: PlaneStore) -> None:
    apply.apply(store, Desired(SOLD, (company("pro", HELD),)), NOW_US)
    assert [] == stored_catalog.lowering(store)
    lost = msgspec.structs.replace(PACK, plans=())
    with store.write() as transaction:
        transaction.put_catalog(msgspec.structs.replace(SOLD, add_ons=(lost,)), 2)
    ((path, message),) = stored_catalog.lowering(store)
    assert ("catalog", "add_ons", 0, "entitlements", 0, "entitlement", "limit_changes", 0) == path
    assert message.startswith("plan 'free' does not grant 'tokens'")
    other = msgspec.structs.replace(company("pro", HELD), id="other")
    assert 1 == apply.apply(store, Desired(None, (other,)), NOW_US).changed
