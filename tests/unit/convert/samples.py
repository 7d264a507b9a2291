"""One value of each kind with every field set, and one with as few as possible."""

from __future__ import annotations

from typing import Final

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
    SubscriptionStatus,
)
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit

ANCHOR_US: Final = 1_738_281_600_000_001
LATER_US: Final = ANCHOR_US + 86_400_000_000
LATEST_US: Final = LATER_US + 1

FULL_LIMIT: Final = Limit(
    "weekly",
    WindowSpec(WindowUnit.WEEK, 2, Alignment.CALENDAR, 6),
    amount=0,
    enforcement=Enforcement.SHADOW,
    scope=Scope(("model", "user"), (("region", "eu"), ("tier", "1"))),
    warning_percents=(10, 1000),
)
BARE_LIMIT: Final = Limit("ever", WindowSpec(WindowUnit.LIFETIME))

FULL_GRANT: Final = EntitlementGrant("tokens", True, "value", (FULL_LIMIT, BARE_LIMIT))

FULL_CATALOG: Final = Catalog(
    features=(
        Feature("retention", FeatureKind.CONFIG),
        Feature("sso", FeatureKind.BOOLEAN, "Single sign-on"),
        Feature("tokens", FeatureKind.METERED, "Tokens", "token"),
    ),
    plans=(
        Plan("free"),
        Plan("pro", "Pro", (EntitlementGrant("retention", config_value="30 d"), FULL_GRANT)),
    ),
)

FULL_COMPANY: Final = Company(
    "acme",
    "Acme Ltd",
    "Europe/Berlin",
    Subscription("pro", ANCHOR_US, LATER_US, SubscriptionStatus.ACTIVE, LATEST_US),
    (
        Override(EntitlementGrant("sso", enabled=True)),
        Override(FULL_GRANT, expires_us=LATER_US),
    ),
)
BARE_COMPANY: Final = Company("acme")
