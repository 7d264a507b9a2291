"""Catalog files that say everything: rates, add-ons, the life of a subscription."""

from __future__ import annotations

from typing import Final

import pytest

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
    MONTHLY,
    AddOnSubscription,
    Company,
    Override,
    PastDue,
    Pause,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.shared.catalog_file.load import parse_catalog
from tests.unit.shared.catalog_file.sample import FULL_SAMPLE

SECOND_US: Final = 1_000_000
DAY_US: Final = 86_400 * SECOND_US
ANCHOR_US: Final = 1_769_817_600_000_000
MONTH: Final = WindowSpec(WindowUnit.MONTH)

PRO: Final = Plan(
    "pro",
    entitlements=(
        EntitlementGrant(
            "tokens",
            limits=(
                Limit(
                    "monthly",
                    MONTHLY,
                    1_000,
                    rollover=Rollover(3, 500, 50),
                    across=Across.EVENTUAL,
                ),
                Limit(
                    "daily",
                    WindowSpec(WindowUnit.DAY),
                    100,
                    Enforcement.THROTTLE,
                    throttle=Rate(1, SECOND_US, 5),
                ),
            ),
            rates=(
                RateLimit(
                    "burst",
                    Rate(10, 2 * SECOND_US, 20),
                    Enforcement.SHADOW,
                    Scope(("user",), (("model", "large"),)),
                ),
            ),
        ),
    ),
)
EXTRA_TOKENS: Final = AddOn(
    "extra_tokens",
    "Extra tokens",
    1,
    (
        AddOnEntitlement(EntitlementGrant("days", config_value="90")),
        AddOnEntitlement(EntitlementGrant("sso", enabled=True)),
        AddOnEntitlement(
            EntitlementGrant("tokens", limits=(Limit("monthly", MONTH, 5),)), Merge.OVERRIDE
        ),
    ),
)
POLICY: Final = FailPolicy(
    FailAction.DEFAULT_PLAN,
    FailAction.DENY,
    900 * SECOND_US,
    FailAction.ALLOW,
    FailAction.ALLOW,
)


def test_everything_that_is_sold() -> None:
    expected = Catalog(
        features=(
            Feature("days", FeatureKind.CONFIG),
            Feature("sso", FeatureKind.BOOLEAN),
            Feature("tokens", FeatureKind.METERED, fail_policy=POLICY),
        ),
        plans=(Plan("free"), PRO),
        add_ons=(EXTRA_TOKENS, AddOn("seats")),
        default_plan="free",
    )
    assert expected == parse_catalog(FULL_SAMPLE.encode(), "file").catalog


def test_everything_about_a_subscription() -> None:
    slow = RateLimit("slow", Rate(1, 60 * SECOND_US, 1))
    expected = Company(
        "acme",
        subscription=Subscription(
            "pro",
            ANCHOR_US,
            trial_ends_us=ANCHOR_US + DAY_US,
            trial_end_status=SubscriptionStatus.ACTIVE,
            cancel_us=ANCHOR_US + 9 * DAY_US,
            add_ons=(AddOnSubscription("extra_tokens", 2), AddOnSubscription("seats", 1_000)),
            ends_us=ANCHOR_US + 8 * DAY_US,
            past_due=PastDue(ANCHOR_US + 2 * DAY_US, ANCHOR_US + 3 * DAY_US),
            pause=Pause(ANCHOR_US + 4 * DAY_US, ANCHOR_US + 5 * DAY_US, moves_anchor=True),
            changes=(
                ScheduledChange(ANCHOR_US + 6 * DAY_US, "free", (AddOnSubscription("seats", 3),)),
                ScheduledChange(
                    ANCHOR_US + 7 * DAY_US, add_ons=(), resets_usage=True, moves_anchor=True
                ),
            ),
            billing_period=WindowSpec(WindowUnit.MONTH, 3, Alignment.ANCHORED),
        ),
        overrides=(Override(EntitlementGrant("tokens", rates=(slow,))),),
    )
    assert (expected,) == parse_catalog(FULL_SAMPLE.encode(), "file").companies


def _grant_of(text: str) -> EntitlementGrant:
    """The grant of a metered feature, written as a flow mapping."""
    loaded = parse_catalog(
        "features: {f: {kind: metered}}\n"
        f"plans: {{p: {{entitlements: {{f: {text}}}}}}}\n".encode(),
        "file",
    )
    return loaded.catalog.plans[0].entitlements[0]


def _rate(rate: Rate, enforcement: Enforcement = Enforcement.HARD) -> EntitlementGrant:
    return EntitlementGrant("f", rates=(RateLimit("r", rate, enforcement),))


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        ("{count: 10, per: second}", Rate(10, SECOND_US, 10)),
        ("{count: 10, per: second, burst: 1}", Rate(10, SECOND_US, 1)),
        ("{count: 1_000, per: 250ms, burst: 2_000}", Rate(1_000, 250_000, 2_000)),
        ("{count: 0x10, per: 31d, enforcement: hard}", Rate(16, 31 * DAY_US, 16)),
    ],
)
def test_a_rate_in_each_of_its_forms(text: str, rate: Rate) -> None:
    assert _rate(rate) == _grant_of(f"{{rates: {{r: {text}}}}}")


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("{amount: 5, per: month, rollover: {}}", Limit("l", MONTH, 5, rollover=Rollover())),
        (
            "{amount: 5, per: month, rollover: {amount: 1_000}}",
            Limit("l", MONTH, 5, rollover=Rollover(amount_max=1_000)),
        ),
        (
            "{amount: 5, per: month, rollover: {percent: 0}}",
            Limit("l", MONTH, 5, rollover=Rollover(percent_max=0)),
        ),
        (
            "{amount: 5, per: month, throttle: {count: 2, per: minute}}",
            Limit("l", MONTH, 5, Enforcement.THROTTLE, throttle=Rate(2, 60 * SECOND_US, 2)),
        ),
        ("{amount: 5, per: month, across: exact}", Limit("l", MONTH, 5)),
        (
            "{amount: 5, per: month, across: eventual}",
            Limit("l", MONTH, 5, across=Across.EVENTUAL),
        ),
    ],
)
def test_a_limit_in_each_of_its_forms(text: str, limit: Limit) -> None:
    assert EntitlementGrant("f", limits=(limit,)) == _grant_of(f"{{limits: {{l: {text}}}}}")


@pytest.mark.parametrize("text", ["unlimited", "{limits: {}}", "{rates: {}}"])
def test_no_limits_and_no_rates_is_unlimited(text: str) -> None:
    assert EntitlementGrant("f") == _grant_of(text)


def _subscription_of(text: str) -> Subscription | None:
    """The subscription of a company, given what follows plan and anchor."""
    loaded = parse_catalog(
        "features:\nplans: {p: {}, q: {}}\nadd_ons: {b: {}, a: {}}\n"
        f"companies: {{c: {{plan: p, anchor: 1970-01-01T00:00:00Z, {text}}}}}\n".encode(),
        "file",
    )
    return loaded.companies[0].subscription


@pytest.mark.parametrize(
    ("text", "subscription"),
    [
        ("billing_period: month", Subscription("p", 0)),
        (
            "billing_period: {unit: week, interval: 2}",
            Subscription("p", 0, billing_period=WindowSpec(WindowUnit.WEEK, 2, Alignment.ANCHORED)),
        ),
        ("add_ons: {}", Subscription("p", 0)),
        (
            "add_ons: {b: 1, a: 0x2}",
            Subscription("p", 0, add_ons=(AddOnSubscription("a", 2), AddOnSubscription("b"))),
        ),
        ("past_due: {since: 1970-01-01T00:00:00Z}", Subscription("p", 0, past_due=PastDue(0))),
        ("pause: {starts_at: 1970-01-01T00:00:00Z}", Subscription("p", 0, pause=Pause(0))),
        ("changes: []", Subscription("p", 0)),
        (
            "changes: [{at: 1970-01-02T00:00:00Z, plan: q}]",
            Subscription("p", 0, changes=(ScheduledChange(DAY_US, "q"),)),
        ),
    ],
)
def test_a_subscription_in_each_of_its_forms(text: str, subscription: Subscription) -> None:
    assert subscription == _subscription_of(text)
