"""What is said to have changed."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.domain.catalog import (
    Catalog,
    Company,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Override,
    Plan,
    Scope,
    Subscription,
)
from sidecar.domain.diff import (
    Change,
    ChangeAction,
    FieldChange,
    catalog_changes,
    company_change,
)
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit

CREATED, UPDATED, REMOVED = ChangeAction.CREATED, ChangeAction.UPDATED, ChangeAction.REMOVED

TOKENS = Feature("tokens", FeatureKind.METERED, "Tokens")
CALLS = Feature("calls", FeatureKind.METERED)
MONTHLY = Limit("monthly", WindowSpec(WindowUnit.MONTH), 1_000)
ACME = Company("acme", subscription=Subscription("pro", 0))


def _plan(*limits: Limit) -> Plan:
    return Plan("pro", entitlements=(EntitlementGrant("tokens", limits=limits),))


def _fields(before: Plan, after: Plan) -> list[tuple[str, str | None, str | None]]:
    """Changes of the plan, with paths below its limits."""
    (change,) = catalog_changes(Catalog(plans=(before,)), Catalog(plans=(after,)))
    assert ("plan", "pro", UPDATED) == (change.kind, change.key, change.action)
    prefix = "entitlements.tokens.limits."
    return [(f.path.removeprefix(prefix), f.before, f.after) for f in change.fields]


def test_nothing_changed() -> None:
    catalog = Catalog((TOKENS,), (_plan(MONTHLY),))
    assert [] == catalog_changes(catalog, catalog)
    assert company_change(ACME, ACME) is None
    assert company_change(None, None) is None


def test_order_of_features_and_plans_is_no_change() -> None:
    before = Catalog((TOKENS, CALLS), (Plan("a"), Plan("b")))
    after = Catalog((CALLS, TOKENS), (Plan("b"), Plan("a")))
    assert [] == catalog_changes(before, after)


def test_features_come_before_plans_each_by_key() -> None:
    before = Catalog((TOKENS,), (Plan("old"),))
    after = Catalog((CALLS, replace(TOKENS, name="T")), (Plan("new"),))
    renamed = (FieldChange("name", "Tokens", "T"),)
    assert [
        Change("feature", "calls", CREATED),
        Change("feature", "tokens", UPDATED, renamed),
        Change("plan", "new", CREATED),
        Change("plan", "old", REMOVED),
    ] == catalog_changes(before, after)


def test_an_amount_that_changed_names_its_limit() -> None:
    after = _plan(replace(MONTHLY, amount=None))
    assert [("monthly.amount", "1000", "unlimited")] == _fields(_plan(MONTHLY), after)


def test_every_field_of_a_limit_is_told() -> None:
    after = replace(
        MONTHLY,
        window=WindowSpec(WindowUnit.WEEK, 2, Alignment.CALENDAR, 6),
        enforcement=Enforcement.SOFT,
        scope=Scope(("model", "user"), (("tier", "1"),)),
        warning_percents=(90, 100),
    )
    assert [
        ("monthly.window", "MONTH CALENDAR", "2 WEEK CALENDAR from weekday 6"),
        ("monthly.enforcement", "HARD", "SOFT"),
        ("monthly.scope.dimensions", None, "model, user"),
        ("monthly.scope.match.tier", None, "1"),
        ("monthly.warning_percents", None, "90, 100"),
    ] == _fields(_plan(MONTHLY), _plan(after))


def test_a_limit_that_is_gone_has_no_after() -> None:
    ever = Limit("ever", WindowSpec(WindowUnit.LIFETIME))
    assert [
        ("ever.amount", "unlimited", None),
        ("ever.window", "LIFETIME", None),
        ("ever.enforcement", "HARD", None),
    ] == _fields(_plan(MONTHLY, ever), _plan(MONTHLY))


def test_another_order_of_limits_is_a_change_without_fields() -> None:
    second = replace(MONTHLY, id="second")
    assert [] == _fields(_plan(MONTHLY, second), _plan(second, MONTHLY))


def test_a_company_comes_and_goes() -> None:
    assert Change("company", "acme", CREATED) == company_change(None, ACME)
    assert Change("company", "acme", REMOVED) == company_change(ACME, None)


def test_times_are_written_as_utc() -> None:
    override = Override(EntitlementGrant("sso", enabled=True), expires_us=1_500_000)
    subscription = Subscription("max", 0, cancel_us=86_400_000_000)
    after = replace(ACME, subscription=subscription, overrides=(override,))
    change = company_change(ACME, after)
    assert change is not None
    assert (
        FieldChange("subscription.plan", "pro", "max"),
        FieldChange("subscription.cancel_at", None, "1970-01-02T00:00:00Z"),
        FieldChange("overrides.sso.enabled", None, "true"),
        FieldChange("overrides.sso.expires_at", None, "1970-01-01T00:00:01.500000Z"),
    ) == change.fields


def test_a_subscription_that_ended_tells_every_field() -> None:
    change = company_change(ACME, Company("acme"))
    assert change is not None
    assert ["subscription.plan", "subscription.anchor"] == [field.path for field in change.fields]
