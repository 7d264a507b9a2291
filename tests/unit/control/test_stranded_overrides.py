"""What `apply` says of overrides that lose the limit or the rate that they name."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.overrides import grant_override
from sidecar.control.storage.port import PlaneStore
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    LimitChange,
    Plan,
    Rate,
    RateChange,
    RateLimit,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.company.model import AddOnSubscription, Company, Override, ScheduledChange
from sidecar.domain.time.units import DAY_US, HOUR_US, SECOND_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.unit.control.support import CATALOG, NOW_US, company

LATER_US: Final = NOW_US + DAY_US
OLD: Final = Limit("per_month", WindowSpec(WindowUnit.MONTH), 100)
NEW: Final = replace(OLD, id="monthly")
DAILY: Final = Limit("daily", WindowSpec(WindowUnit.DAY), 10)
BURST: Final = RateLimit("burst", Rate(10, SECOND_US, 10))
PLACE: Final = ("catalog", "plans", 1, "entitlements", 0)
MORE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("per_month", 100, adds=True),))
FASTER: Final = EntitlementGrant("tokens", rate_changes=(RateChange("burst", 5, 5, adds=True),))


def tokens(*limits: Limit, rates: tuple[RateLimit, ...] = (BURST,)) -> EntitlementGrant:
    return EntitlementGrant("tokens", limits=limits, rates=rates)


def selling(*grants: EntitlementGrant, existing: int = ExistingCompanies.MOVE_NOW) -> Catalog:
    pro = Plan("pro", entitlements=grants, existing=ExistingCompanies(existing))
    return replace(CATALOG, plans=(Plan("free"), pro))


BEFORE: Final = selling(tokens(OLD, DAILY))


def having(
    grant: EntitlementGrant = MORE, name: str = "acme", until_us: int = FOREVER_US
) -> Company:
    """A company that a file gives an override."""
    return replace(company(name), overrides=(Override(grant, until_us),))


def told(
    store: PlaneStore, after: Catalog | None, *companies: Company, at_us: int = NOW_US
) -> list[tuple[object, str]]:
    """What is said of overrides when it is tried, and the same when it is done."""
    desired = Desired(after, companies)
    answers = [apply.preview(store, desired, at_us), apply.apply(store, desired, at_us)]
    found = [
        [(path, message) for path, message in each.warnings if "overrides of" in message]
        for each in answers
    ]
    assert found[0] == found[1]
    again = apply.apply(store, desired, at_us)
    assert [] == [message for _, message in again.warnings if "overrides of" in message]
    return list(found[0])


LOST: Final = {
    "a limit that is renamed": (
        MORE,
        tokens(NEW, DAILY),
        "no limit 'per_month' of 'tokens' any more",
        "keep the name, or grant it again for 'monthly', which counts the same",
    ),
    "a limit that is gone": (MORE, tokens(DAILY), "no limit 'per_month'", "keep it, or revoke"),
    "a rate that is renamed": (
        FASTER,
        tokens(OLD, rates=(replace(BURST, id="peak"),)),
        "no rate 'burst' of 'tokens' any more",
        "keep it, or revoke",
    ),
}


@pytest.mark.parametrize(("grant", "after", "lost", "way_out"), LOST.values(), ids=LOST)
def test_what_overrides_lose_is_told_with_who_has_them(
    store: PlaneStore, grant: EntitlementGrant, after: EntitlementGrant, lost: str, way_out: str
) -> None:
    apply.apply(store, Desired(BEFORE, (company("acme"), having(grant, "file"))), NOW_US)
    grant_override(store, "acme", Override(grant, LATER_US), NOW_US)
    ((path, message),) = told(store, selling(after))
    assert PLACE == path
    assert message.startswith(f"with plan 'pro' there is {lost}")
    assert "overrides of 2 companies ('acme', 'file')" in message
    assert way_out in message


def test_a_feature_that_a_plan_loses_is_told_at_the_plan(store: PlaneStore) -> None:
    apply.apply(store, Desired(BEFORE, (having(),)), NOW_US)
    ((path, message),) = told(store, selling())
    assert ("catalog", "plans", 1) == path
    assert "overrides of 1 company ('acme')" in message


def test_of_many_companies_the_first_are_named(store: PlaneStore) -> None:
    apply.apply(store, Desired(BEFORE, tuple(having(name=f"c{n}") for n in range(1_200))), NOW_US)
    ((_, message),) = told(store, selling(tokens(DAILY)))
    assert "of 1,200 companies ('c0', 'c1', 'c10', 'c100', 'c1000', ...)" in message


NOTHING_LOST: Final = {
    "what is lifted": (MORE, selling(tokens(rates=()))),
    "a limit that stays": (MORE, selling(tokens(replace(OLD, amount=7)))),
    "another limit": (MORE, selling(tokens(OLD))),
    "a version that companies keep": (
        MORE,
        selling(tokens(DAILY), existing=ExistingCompanies.KEEP),
    ),
    "one in place of all": (tokens(OLD), selling(tokens(DAILY))),
}


@pytest.mark.parametrize(("grant", "after"), NOTHING_LOST.values(), ids=NOTHING_LOST)
def test_what_no_override_loses_is_not_told(
    store: PlaneStore, grant: EntitlementGrant, after: Catalog
) -> None:
    apply.apply(store, Desired(BEFORE, (having(grant),)), NOW_US)
    assert [] == told(store, after)


def test_what_has_ended_is_not_told(store: PlaneStore) -> None:
    apply.apply(store, Desired(BEFORE, (having(until_us=LATER_US),)), NOW_US)
    assert [] == told(store, selling(tokens(DAILY)), at_us=LATER_US)


def test_a_company_that_goes_is_not_told(store: PlaneStore) -> None:
    apply.apply(store, Desired(BEFORE, (having(),)), NOW_US)
    desired = Desired(selling(tokens(DAILY)), remove=("acme",))
    assert () == apply.apply(store, desired, NOW_US).warnings


def test_a_move_at_the_end_of_the_period_is_told_when_it_is_decided(store: PlaneStore) -> None:
    apply.apply(store, Desired(BEFORE, (having(),)), NOW_US)
    after = selling(tokens(NEW), existing=ExistingCompanies.MOVE_AT_PERIOD_END)
    ((path, message),) = told(store, after)
    assert PLACE == path
    assert "'monthly'" in message


def test_a_plan_that_is_bought_later_is_told(store: PlaneStore) -> None:
    free, pro = BEFORE.plans
    subscription = company("acme", "free").subscription
    assert subscription is not None
    change = ScheduledChange(LATER_US, "pro")
    buying = replace(having(), subscription=replace(subscription, changes=(change,)))
    apply.apply(store, Desired(replace(BEFORE, plans=(free, pro)), (buying,)), NOW_US)
    ((path, _),) = told(store, selling(tokens(DAILY)), at_us=NOW_US + HOUR_US)
    assert PLACE == path


def test_a_company_that_leaves_its_plan_or_add_on_is_told_at_its_own_place(
    store: PlaneStore,
) -> None:
    brings = AddOnEntitlement(tokens(OLD))
    catalog = replace(
        selling(tokens(DAILY)), add_ons=(AddOn("pack", entitlements=(brings,), plans=("free",)),)
    )
    acme = company("acme", "free")
    assert acme.subscription is not None
    held = replace(
        acme, subscription=replace(acme.subscription, add_ons=(AddOnSubscription("pack"),))
    )
    apply.apply(store, Desired(catalog, (company("b"), held)), NOW_US)
    grant_override(store, "acme", Override(MORE), NOW_US)
    ((path, message),) = told(store, None, company("b"), acme)
    assert ("companies", 1) == path
    assert message.startswith("with plan 'free' there is no limit 'per_month'")
