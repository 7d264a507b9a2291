"""What a catalog says beside limits goes over the wire whole: dimensions, changes, plan terms."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.canonical import canonical_catalog
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Dimension,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Plan,
    RateChange,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies, Grace, Trial
from sidecar.domain.company.model import (
    Company,
    Override,
    PastDue,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.difference.changes import catalog_changes, company_change
from sidecar.shared.convert.catalog import catalog_from_message, catalog_to_message
from sidecar.shared.convert.companies import company_from_message, company_to_message
from tests.support.build import DAY

DAY_US: Final = 86_400_000_000
TOKENS: Final = Feature("tokens", FeatureKind.METERED)
MORE: Final = EntitlementGrant(
    "tokens",
    limit_changes=(LimitChange("daily", 100, adds=True), LimitChange("large", None, adds=True)),
    rate_changes=(RateChange("burst", 5, 10, adds=True),),
)
ONCE: Final = EntitlementGrant("tokens", limit_changes=(LimitChange("daily", 100, adds=True),))
CHANGES: Final = EntitlementGrant(
    "tokens",
    limit_changes=(LimitChange("daily", 100, adds=True), LimitChange("large", None)),
    rate_changes=(RateChange("burst", 5, 10),),
)


def with_limit(limit: Limit) -> Catalog:
    return Catalog(
        (TOKENS,), (Plan("pro", entitlements=(EntitlementGrant("tokens", limits=(limit,)),)),)
    )


CATALOGS: Final = {
    "declared dimensions": Catalog(
        (
            Feature(
                "tokens",
                FeatureKind.METERED,
                dimensions=(Dimension("model", values=("large", "small")), Dimension("user", True)),
            ),
        )
    ),
    "no dimension at all": Catalog((Feature("tokens", FeatureKind.METERED, dimensions=()),)),
    "amounts by value": with_limit(
        Limit("each", DAY, 5, scope=Scope(("user",)), amounts=(("ci", None), ("vip", 9)))
    ),
    "nothing earned while paused": with_limit(
        Limit("daily", DAY, 5, rollover=Rollover(while_paused=False))
    ),
    "a pack": Catalog(
        (TOKENS,),
        (),
        (AddOn("pack", "", 0, (AddOnEntitlement(ONCE),), ("pro", "team"), once=True),),
    ),
    "changes of an add-on": Catalog(
        (TOKENS,),
        (),
        (AddOn("more", "", 0, (AddOnEntitlement(MORE),), ("pro", "team")),),
    ),
    "versions of a plan": Catalog(
        (TOKENS,),
        (
            Plan(
                "pro",
                version=3,
                existing=ExistingCompanies.KEEP,
                trial=Trial(14 * DAY_US, end_plan="free"),
                grace=Grace(7 * DAY_US, "free"),
            ),
        ),
        plan_versions=(
            Plan("pro", version=1, trial=Trial(DAY_US, becomes_active=True)),
            Plan("pro", version=2, grace=Grace()),
        ),
    ),
}
COMPANIES: Final = {
    "an override that changes": Company(
        "acme",
        overrides=(Override(CHANGES, 5, "a favour", 3),),
    ),
    "a subscription's new words": Company(
        "acme",
        subscription=Subscription(
            "pro",
            0,
            trial_ends_us=7,
            cancel_us=9,
            past_due=PastDue(1, 5, "free"),
            changes=(ScheduledChange(8, "max", plan_version=2, at_period_end=True),),
            plan_version=3,
            cancel_at_period_end=True,
            trial_end_plan="free",
        ),
    ),
}


@pytest.mark.parametrize("catalog", CATALOGS.values(), ids=CATALOGS)
def test_a_catalog_survives_the_wire(catalog: Catalog) -> None:
    assert catalog == catalog_from_message(catalog_to_message(catalog), "")
    assert catalog == canonical_catalog(catalog)


@pytest.mark.parametrize("company", COMPANIES.values(), ids=COMPANIES)
def test_a_company_survives_the_wire(company: Company) -> None:
    assert company == company_from_message(company_to_message(company), "")


@pytest.mark.parametrize("catalog", CATALOGS.values(), ids=CATALOGS)
def test_what_a_catalog_says_shows_as_a_difference(catalog: Catalog) -> None:
    plain = Catalog((TOKENS,), (Plan("pro"),), (AddOn("pack"),))
    assert all(change.fields or change.action != 2 for change in catalog_changes(plain, catalog))
    assert catalog_changes(plain, catalog)


def test_what_a_company_says_shows_as_a_difference() -> None:
    found = company_change(
        Company("acme", subscription=Subscription("pro", 0)),
        COMPANIES["a subscription's new words"],
    )
    assert found is not None
    assert {field.path for field in found.fields} >= {
        "subscription.plan_version",
        "subscription.cancel_at_period_end",
        "subscription.past_due.grace_end_plan",
        "subscription.trial_end_plan",
    }
