"""A sidecar that explains, on a catalog that has something of everything to explain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Enforcement,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    FeatureKind,
    Merge,
    Rate,
    RateLimit,
    Rollover,
)
from sidecar.domain.company.model import AddOnSubscription, Company, Override, Subscription
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.time.units import DAY_US, MINUTE_US, SECOND_US
from sidecar.engine.explain import Explainer, Explanation
from sidecar.engine.needs import Needs
from tests.support.build import (
    DAY,
    LIFETIME,
    MIDNIGHT_US,
    NOW_US,
    catalog,
    check,
    limit,
    metered,
)
from tests.support.inside import Inside

ANCHOR_US: Final = 1_767_225_600_000_000
APRIL_US: Final = MIDNIGHT_US + 17 * DAY_US
MONTHLY: Final = limit("monthly", 100)
PER_USER: Final = limit("per_user", 5, window=DAY, each=["user"])
LARGE: Final = limit("large", 3, match={"model": "large"})
ROLLING: Final = msgspec.structs.replace(limit("rolling", 100), rollover=Rollover(2))
SLOW: Final = Rate(1, SECOND_US, 2)
THROTTLED: Final = msgspec.structs.replace(
    limit("slowed", 10), enforcement=Enforcement.THROTTLE, throttle=SLOW
)
BURST: Final = RateLimit("burst", Rate(10, SECOND_US, 20))
PLANS: Final = {
    "basic": [
        metered("calls", MONTHLY),
        metered("messages", PER_USER, limit("everyone", 50), LARGE),
        metered("tokens", ROLLING),
        metered("exports", THROTTLED),
        EntitlementGrant("jobs", limits=(limit("ever", 1000, window=LIFETIME),), rates=(BURST,)),
        EntitlementGrant("sso", enabled=False),
        EntitlementGrant("days", config_value="30"),
        metered("cautious", limit("daily", 9, window=DAY)),
    ]
}
KINDS: Final = {"sso": FeatureKind.BOOLEAN, "days": FeatureKind.CONFIG}
ADD_ONS: Final = (
    AddOn("more", entitlements=(AddOnEntitlement(metered("calls", limit("monthly", 10))),)),
    AddOn("seats", entitlements=(AddOnEntitlement(metered("messages", limit("everyone", 1))),)),
    AddOn(
        "swap",
        entitlements=(
            AddOnEntitlement(metered("calls", limit("monthly", 60)), Merge.OVERRIDE),
            AddOnEntitlement(EntitlementGrant("sso", enabled=True)),
        ),
    ),
)


def content(default_plan: str = "") -> Catalog:
    """What is sold; the feature `cautious` has a fail policy."""
    made = catalog(PLANS, KINDS)
    cautious = FailPolicy(FailAction.DEFAULT_PLAN, FailAction.DENY, MINUTE_US)
    features = tuple(
        msgspec.structs.replace(feature, fail_policy=cautious)
        if feature.key == "cautious"
        else feature
        for feature in made.features
    )
    return msgspec.structs.replace(
        made, features=features, add_ons=ADD_ONS, default_plan=default_plan
    )


class Bench(Inside):
    """The inside of a sidecar that explains.

    `overrides` and `subscription` are of acme, the latter the fields of what it has bought.
    """

    def __init__(
        self,
        *add_ons: AddOnSubscription,
        overrides: tuple[Override, ...] = (),
        default_plan: str = "",
        authority: bool = True,
        **subscription: object,
    ) -> None:
        bought = Subscription("basic", ANCHOR_US, add_ons=add_ons)
        bought = msgspec.structs.replace(bought, **subscription)
        acme = Company("acme", subscription=bought, overrides=overrides)
        super().__init__(content(default_plan), acme, authority=authority)
        self.explainer = Explainer(self.opened.store, self.directory, self.plane_status)

    def count(
        self,
        feature: str,
        quantity: int = 1,
        at_us: int = NOW_US,
        dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> None:
        """Count what is allowed."""
        answer = self.decide(quantity, feature, at_us=at_us, dimensions=dimensions)
        assert answer.decision.allowed

    def explain(
        self,
        feature: str = "calls",
        quantity: int = 1,
        *,
        company: str = "acme",
        at_us: int | None = None,
        dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> Explanation:
        """Explain for an instant; `None`: now."""
        event_us = self.now_us if at_us is None else at_us
        asked = check(company, feature, quantity, at_us=event_us, dimensions=dimensions)
        found = self.explainer.explain(asked, self.now_us, Needs(frozenset((company,))))
        assert not isinstance(found, Needs)
        return found
