"""What is said to have changed."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.domain.catalog.model import (
    Across,
    AddOn,
    AddOnEntitlement,
    Catalog,
    Enforcement,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    Rate,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
)
from sidecar.domain.difference.changes import (
    Change,
    ChangeAction,
    FieldChange,
    catalog_changes,
    company_change,
)
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

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


def test_throttle_and_rollover_of_a_limit_are_told() -> None:
    before = replace(MONTHLY, rollover=Rollover(1))
    after = replace(
        MONTHLY,
        enforcement=Enforcement.THROTTLE,
        throttle=Rate(10, 1_000_000, 20),
        rollover=Rollover(3, 500, 50),
    )
    assert [
        ("monthly.enforcement", "HARD", "THROTTLE"),
        ("monthly.rollover", "for 1 window", "for 3 windows, at most 500 and 50%"),
        ("monthly.throttle", None, "10 per 1s, burst 20"),
    ] == sorted(_fields(_plan(before), _plan(after)))


def test_rates_are_told() -> None:
    user = Scope(("user",), (("tier", "1"),))
    before = RateLimit("burst", Rate(10, 90_000_000, 20))
    after = RateLimit("burst", Rate(10, 60_000_000, 10), Enforcement.SHADOW, user)
    plans = [
        Plan("pro", entitlements=(EntitlementGrant("calls", rates=rates),))
        for rates in [(before,), (after,)]
    ]
    assert [
        ("entitlements.calls.rates.burst.rate", "10 per 90s, burst 20", "10 per 1m, burst 10"),
        ("entitlements.calls.rates.burst.enforcement", "HARD", "SHADOW"),
        ("entitlements.calls.rates.burst.scope.dimensions", None, "user"),
        ("entitlements.calls.rates.burst.scope.match.tier", None, "1"),
    ] == _fields(*plans)


def test_a_fail_policy_is_told() -> None:
    policy = FailPolicy(
        FailAction.ALLOW, FailAction.DENY, 900_000_000, FailAction.ALLOW, FailAction.ALLOW
    )
    after = replace(TOKENS, fail_policy=policy)
    (change,) = catalog_changes(Catalog((TOKENS,)), Catalog((after,)))
    assert (
        FieldChange("fail_policy.no_snapshot", None, "ALLOW"),
        FieldChange("fail_policy.stale", None, "DENY"),
        FieldChange("fail_policy.stale_after", None, "15m"),
        FieldChange("fail_policy.outbox_full", None, "ALLOW"),
        FieldChange("fail_policy.no_lease", None, "ALLOW"),
    ) == change.fields


def test_add_ons_come_and_go_and_change() -> None:
    grant = EntitlementGrant("sso", enabled=True)
    before = AddOn("extra", "Extra", 0, (AddOnEntitlement(grant),))
    after = AddOn("extra", "More", -2, (AddOnEntitlement(grant, Merge.OVERRIDE),))
    assert [
        Change(
            "add_on",
            "extra",
            UPDATED,
            (
                FieldChange("name", "Extra", "More"),
                FieldChange("entitlements.sso.merge", "INCREMENT", "OVERRIDE"),
                FieldChange("rank", None, "-2"),
            ),
        ),
        Change("add_on", "new", CREATED),
        Change("add_on", "old", REMOVED),
    ] == catalog_changes(
        Catalog(add_ons=(AddOn("old"), before)), Catalog(add_ons=(after, AddOn("new")))
    )


def test_the_default_plan_comes_and_goes_and_changes() -> None:
    for before, after in [("", "free"), ("free", ""), ("free", "pro")]:
        field = FieldChange("plan", before or None, after or None)
        assert [Change("catalog", "default_plan", UPDATED, (field,))] == catalog_changes(
            Catalog(default_plan=before), Catalog(default_plan=after)
        )


def test_a_limit_that_is_gone_has_no_after() -> None:
    ever = Limit("ever", WindowSpec(WindowUnit.LIFETIME))
    assert [
        ("ever.amount", "unlimited", None),
        ("ever.window", "LIFETIME", None),
        ("ever.enforcement", "HARD", None),
    ] == _fields(_plan(MONTHLY, ever), _plan(MONTHLY))


def test_how_exactly_a_limit_holds_is_told_where_it_is_not_the_default() -> None:
    eventual = replace(MONTHLY, across=Across.EVENTUAL)
    told = _fields(_plan(MONTHLY), _plan(eventual))
    assert [("monthly.across", None, "EVENTUAL")] == told
    assert [("monthly.across", "EVENTUAL", None)] == _fields(_plan(eventual), _plan(MONTHLY))


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


def test_a_config_value_is_not_told_as_switched_off() -> None:
    override = Override(EntitlementGrant("days", config_value="30"))
    change = company_change(ACME, replace(ACME, overrides=(override,)))
    assert change is not None
    assert (FieldChange("overrides.days.config_value", None, "30"),) == change.fields


def test_a_subscription_that_ended_tells_every_field() -> None:
    change = company_change(ACME, Company("acme"))
    assert change is not None
    assert ["subscription.plan", "subscription.anchor"] == [field.path for field in change.fields]


def _subscription_fields(after: Subscription) -> list[tuple[str, str | None, str | None]]:
    """What changes from the plainest subscription to the plan, with paths below it."""
    change = company_change(ACME, replace(ACME, subscription=after))
    assert change is not None
    return [(f.path.removeprefix("subscription."), f.before, f.after) for f in change.fields]


def test_everything_about_a_subscription_is_told() -> None:
    day_us = 86_400_000_000
    after = Subscription(
        "pro",
        0,
        add_ons=(AddOnSubscription("extra", 2), AddOnSubscription("seats")),
        ends_us=day_us,
        past_due=PastDue(0, day_us),
        pause=Pause(0, day_us, moves_anchor=True),
        billing_period=WindowSpec(WindowUnit.WEEK, 2, Alignment.ANCHORED),
    )
    first, second = "1970-01-01T00:00:00Z", "1970-01-02T00:00:00Z"
    assert [
        ("billing_period", None, "2 WEEK"),
        ("ends_at", None, second),
        ("add_ons.extra", None, "2"),
        ("add_ons.seats", None, "1"),
        ("past_due.since", None, first),
        ("past_due.grace_ends_at", None, second),
        ("pause.starts_at", None, first),
        ("pause.resumes_at", None, second),
        ("pause.moves_anchor", None, "true"),
    ] == _subscription_fields(after)


def test_planned_changes_are_named_by_their_time() -> None:
    bought = (AddOnSubscription("extra", 2), AddOnSubscription("seats"))
    after = Subscription(
        "pro",
        0,
        changes=(
            ScheduledChange(0, "max", resets_usage=True, moves_anchor=True),
            ScheduledChange(1_000_000, add_ons=bought),
            ScheduledChange(2_000_000, add_ons=()),
        ),
    )
    assert [
        ("changes.1970-01-01T00:00:00Z.plan", None, "max"),
        ("changes.1970-01-01T00:00:00Z.resets_usage", None, "true"),
        ("changes.1970-01-01T00:00:00Z.moves_anchor", None, "true"),
        ("changes.1970-01-01T00:00:01Z.add_ons", None, "extra x 2, seats x 1"),
        ("changes.1970-01-01T00:00:02Z.add_ons", None, "none"),
    ] == _subscription_fields(after)
