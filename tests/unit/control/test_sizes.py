"""What a change makes too large is refused, with the figure; what is large already goes on."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from sidecar.control.rules.ownership import TakeOver
from sidecar.control.services import apply, directory
from sidecar.control.services.apply import Desired
from sidecar.control.services.subscriptions import change_subscription
from sidecar.control.storage.port import PlaneStore
from sidecar.domain import bounds
from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import AddOn, Catalog, Dimension, Feature, FeatureKind
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.company.subscription_changes import (
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    OnPlanned,
    SetAddOn,
    When,
)
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.errors import FailedPrecondition, InvalidInput
from sidecar.domain.time.units import DAY_US
from tests.support.build import NOW_US, catalog, limit, metered

NOW: Final = When(ChangeTime.NOW)
ADD_ONS: Final = [f"add-on {number:02}" for number in range(40)]
FEATURES: Final = [f"feature {number:03}" for number in range(100)]
SOLD: Final = msgspec.structs.replace(
    catalog({"basic": [metered(name, limit()) for name in FEATURES], "pro": []}),
    add_ons=tuple(AddOn(name) for name in ADD_ONS),
)


def company(name: str = "acme", overrides: int = 0, changes: int = 0) -> Company:
    """A company with so many overrides of 4 limits each, and changes of 40 add-ons each."""
    held = [limit(f"limit {number}", 5, each=[f"d{number}"]) for number in range(4)]
    planned = tuple(
        ScheduledChange(
            NOW_US + (1 + day) * DAY_US,
            add_ons=tuple(AddOnSubscription(name, 1 + day) for name in ADD_ONS),
        )
        for day in range(changes)
    )
    return Company(
        name,
        subscription=Subscription("basic", NOW_US, changes=planned),
        overrides=tuple(Override(metered(name, *held)) for name in FEATURES[:overrides]),
    )


def applied(store: PlaneStore, *companies: Company) -> None:
    apply.apply(store, Desired(SOLD, companies), NOW_US)


@pytest.mark.parametrize(
    ("large", "found"),
    [
        (company("acme", changes=63), "company 'acme' has 2583 overrides and add-ons"),
        (company("acme", overrides=100), "bytes, with all limits of its overrides: at most are"),
    ],
    ids=["parts", "bytes"],
)
def test_a_company_that_becomes_too_large_is_refused(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch, large: Company, found: str
) -> None:
    monkeypatch.setattr(bounds, "COMPANY_BYTES_MAX", 40_000 if large.overrides else 1 << 30)
    applied(store, company("globex"))
    desired = Desired(companies=(company("a"), large))
    with pytest.raises(InvalidInput, match=found) as refused:
        apply.apply(store, desired, NOW_US)
    assert "companies[1]" == refused.value.field
    with pytest.raises(InvalidInput, match=found):
        apply.preview(store, desired, NOW_US)
    with store.read() as transaction:
        assert ["globex"] == [one.company.id for one in transaction.companies_after("", 9)]


def test_what_was_large_before_goes_on_and_only_may_not_grow(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    applied(store, company(changes=50))
    monkeypatch.setattr(bounds, "COMPANY_PARTS_MAX", 100)
    change_subscription(store, "acme", ChangePlan("pro"), NOW, NOW_US)
    change_subscription(store, "acme", CancelSubscription(), NOW, NOW_US)
    smaller = company(changes=49)
    renamed = msgspec.structs.replace(smaller, name="Acme")
    take_over = TakeOver(everything=True, fields=frozenset({("acme", "cancel_at")}))
    apply.apply(store, Desired(companies=(renamed,), take_over=take_over), NOW_US)
    assert renamed == directory.get_company(store, "acme").company
    with pytest.raises(FailedPrecondition, match="'acme' has 2010 overrides and add-ons") as no:
        change_subscription(store, "acme", SetAddOn(ADD_ONS[0]), NOW, NOW_US, OnPlanned.KEEP)
    assert "add_on" == no.value.field


def test_prices_are_parts_of_a_catalog(store: PlaneStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 3)
    prices = dict.fromkeys(("a", "b"), Price(1))
    cost = FeatureCost("money", CostTable(Price(2), "model", prices))
    dimensions = (Dimension("model"),)
    tokens = Feature("tokens", FeatureKind.METERED, dimensions=dimensions, costs=(cost,))
    priced = Catalog((Feature("money", FeatureKind.CREDITS), tokens))
    apply.apply(store, Desired(priced), NOW_US)
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 2)
    more = msgspec.structs.replace(tokens, key="words")
    found = "have 6 entitlements, limits and rates in all, with 6 prices of features: at most are 2"
    larger = msgspec.structs.replace(priced, features=(*priced.features, more))
    with pytest.raises(InvalidInput, match=found):
        apply.apply(store, Desired(larger), NOW_US)


def test_a_catalog_is_bounded_as_a_product(
    store: PlaneStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 199)
    found = "have 200 entitlements, limits and rates in all: at most are 199"
    with pytest.raises(InvalidInput, match=found) as refused:
        applied(store)
    assert "catalog.plans" == refused.value.field
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 200)
    applied(store)
    monkeypatch.setattr(bounds, "CATALOG_PARTS_MAX", 10)
    renamed = msgspec.structs.replace(SOLD.plans[0], name="Basic")
    same = msgspec.structs.replace(SOLD, plans=(renamed, *SOLD.plans[1:]))
    assert 1 == apply.apply(store, Desired(same), NOW_US).changed
