"""Canonical forms: what means the same is written the same."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.domain.catalog.canonical import canonical_catalog, canonical_company
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    Rate,
    RateLimit,
    Scope,
)
from sidecar.domain.company.model import (
    MONTHLY,
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
)
from sidecar.domain.company.model import Subscription as Sub
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

TOKENS = Feature("tokens", FeatureKind.METERED)
SSO = Feature("sso", FeatureKind.BOOLEAN)
LIMIT = Limit("daily", WindowSpec(WindowUnit.DAY), 10)
RATE = Rate(10, 1_000_000, 20)
SSO_GRANT = EntitlementGrant("sso", enabled=True)

SHUFFLED_SCOPE = Scope(("b", "a"), (("y", "1"), ("x", "2")))
SORTED_SCOPE = Scope(("a", "b"), (("x", "2"), ("y", "1")))
SHUFFLED = EntitlementGrant(
    "tokens",
    limits=(
        replace(LIMIT, scope=SHUFFLED_SCOPE),
        Limit("a", WindowSpec(WindowUnit.LIFETIME, 5, Alignment.ANCHORED)),
    ),
    rates=(RateLimit("second", RATE, scope=SHUFFLED_SCOPE), RateLimit("first", RATE)),
)
SORTED = EntitlementGrant(
    "tokens",
    limits=(replace(LIMIT, scope=SORTED_SCOPE), Limit("a", WindowSpec(WindowUnit.LIFETIME))),
    rates=(RateLimit("second", RATE, scope=SORTED_SCOPE), RateLimit("first", RATE)),
)


def test_features_and_plans_are_sorted_but_not_limits_and_rates() -> None:
    pro = Plan("pro", entitlements=(SHUFFLED, SSO_GRANT))
    expected = replace(pro, entitlements=(SSO_GRANT, SORTED))
    assert Catalog((SSO, TOKENS), (Plan("a"), expected)) == (
        canonical_catalog(Catalog((TOKENS, SSO), (pro, Plan("a"))))
    )


def test_add_ons_are_sorted_and_so_is_what_they_grant() -> None:
    override = Merge.OVERRIDE
    extra = AddOn(
        "extra", "Extra", 3, (AddOnEntitlement(SHUFFLED, override), AddOnEntitlement(SSO_GRANT))
    )
    expected = replace(
        extra, entitlements=(AddOnEntitlement(SSO_GRANT), AddOnEntitlement(SORTED, override))
    )
    assert (AddOn("a"), expected) == canonical_catalog(Catalog(add_ons=(extra, AddOn("a")))).add_ons


def test_the_default_plan_stays() -> None:
    catalog = Catalog(plans=(Plan("free"),), default_plan="free")
    assert catalog == canonical_catalog(catalog)


def test_overrides_are_sorted_by_feature() -> None:
    company = Company("acme", overrides=(Override(SHUFFLED, 5), Override(SSO_GRANT)))
    assert (Override(SSO_GRANT), Override(SORTED, 5)) == canonical_company(company).overrides


def test_add_ons_that_are_held_are_sorted_and_changes_are_by_time() -> None:
    shuffled, ordered = (
        (AddOnSubscription("b", 2), AddOnSubscription("a")),
        (AddOnSubscription("a"), AddOnSubscription("b", 2)),
    )
    subscription = Sub(
        "pro",
        0,
        add_ons=shuffled,
        changes=(ScheduledChange(9, add_ons=shuffled), ScheduledChange(5, "free")),
    )
    expected = replace(
        subscription,
        add_ons=ordered,
        changes=(ScheduledChange(5, "free"), ScheduledChange(9, add_ons=ordered)),
    )
    assert expected == canonical_company(Company("acme", subscription=subscription)).subscription


def test_a_billing_period_is_anchored() -> None:
    period = WindowSpec(WindowUnit.MONTH, 1, Alignment.CALENDAR)
    company = canonical_company(Company("acme", subscription=Sub("pro", 0, billing_period=period)))
    assert company.subscription is not None
    assert MONTHLY == company.subscription.billing_period


def test_nothing_sold_stays_nothing() -> None:
    assert Company("acme") == canonical_company(Company("acme"))
    assert Catalog() == canonical_catalog(Catalog())
