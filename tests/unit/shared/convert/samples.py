"""One value of each kind with every field set, and one with as few as possible."""

from __future__ import annotations

from typing import Final

from sidecar.domain.catalog.model import (
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
    SubscriptionStatus,
)
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit

ANCHOR_US: Final = 1_738_281_600_000_001
LATER_US: Final = ANCHOR_US + 86_400_000_000
LATEST_US: Final = LATER_US + 1

FULL_RATE: Final = Rate(10, 1_500_000, 20)

FULL_LIMIT: Final = Limit(
    "weekly",
    WindowSpec(WindowUnit.WEEK, 2, Alignment.CALENDAR, 6),
    amount=0,
    enforcement=Enforcement.THROTTLE,
    scope=Scope(("model", "user"), (("region", "eu"), ("tier", "1"))),
    warning_percents=(10, 1000),
    throttle=FULL_RATE,
)
BARE_LIMIT: Final = Limit("ever", WindowSpec(WindowUnit.LIFETIME))
ROLLOVER_LIMIT: Final = Limit(
    "monthly", WindowSpec(WindowUnit.MONTH), 5, rollover=Rollover(3, amount_max=0, percent_max=50)
)

FULL_GRANT: Final = EntitlementGrant(
    "tokens",
    True,
    "value",
    (FULL_LIMIT, BARE_LIMIT, ROLLOVER_LIMIT),
    (
        RateLimit("burst", FULL_RATE, Enforcement.SHADOW, Scope(("user",), (("tier", "1"),))),
        RateLimit("slow", Rate(1, 1_000, 1)),
    ),
)

FULL_CATALOG: Final = Catalog(
    features=(
        Feature("retention", FeatureKind.CONFIG),
        Feature("sso", FeatureKind.BOOLEAN, "Single sign-on"),
        Feature(
            "tokens",
            FeatureKind.METERED,
            "Tokens",
            "token",
            FailPolicy(
                FailAction.DEFAULT_PLAN, FailAction.ALLOW, 900_000_001_000, FailAction.ALLOW
            ),
        ),
    ),
    plans=(
        Plan("free"),
        Plan("pro", "Pro", (EntitlementGrant("retention", config_value="30 d"), FULL_GRANT)),
    ),
    add_ons=(
        AddOn("bare"),
        AddOn(
            "extra",
            "Extra",
            -7,
            (
                AddOnEntitlement(EntitlementGrant("sso", enabled=True)),
                AddOnEntitlement(FULL_GRANT, Merge.OVERRIDE),
            ),
        ),
    ),
    default_plan="free",
)

FULL_COMPANY: Final = Company(
    "acme",
    "Acme Ltd",
    "Europe/Berlin",
    Subscription(
        "pro",
        ANCHOR_US,
        LATER_US,
        SubscriptionStatus.ACTIVE,
        LATEST_US,
        add_ons=(AddOnSubscription("bare"), AddOnSubscription("extra", 1_000_000)),
        ends_us=LATEST_US + 1,
        past_due=PastDue(ANCHOR_US, LATER_US),
        pause=Pause(ANCHOR_US, LATER_US, moves_anchor=True),
        changes=(
            ScheduledChange(LATER_US, "free", (), resets_usage=True, moves_anchor=True),
            ScheduledChange(LATEST_US, add_ons=(AddOnSubscription("bare", 2),)),
        ),
        billing_period=WindowSpec(WindowUnit.WEEK, 2, Alignment.ANCHORED),
    ),
    (
        Override(EntitlementGrant("sso", enabled=True)),
        Override(FULL_GRANT, expires_us=LATER_US),
    ),
)
BARE_COMPANY: Final = Company("acme")
BARE_SUBSCRIBER: Final = Company(
    "acme", subscription=Subscription("pro", 0, past_due=PastDue(0), pause=Pause(0))
)
