"""From catalog and timeline to what a company may do: the entitlement of one feature."""

from __future__ import annotations

import msgspec

from sidecar.domain.catalog import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Segment,
    SubscriptionStatus,
)
from sidecar.domain.decision import Reason

_DENIES_ALL = {
    SubscriptionStatus.CANCELED: Reason.SUBSCRIPTION_CANCELED,
    SubscriptionStatus.ENDED: Reason.SUBSCRIPTION_CANCELED,
}


class Entitlement(msgspec.Struct, frozen=True):
    """What a company may do with a feature, limits aside: `reason` is ALLOWED, or why it may not.

    `config_value` is for CONFIG, `limits` for METERED features.
    """

    feature: Feature
    reason: Reason
    config_value: str = ""
    limits: tuple[Limit, ...] = ()

    @property
    def entitled(self) -> bool:
        """Whether the feature may be used at all."""
        return self.reason is Reason.ALLOWED


class CatalogIndex:
    """A catalog, arranged for look-ups. Immutable after it was built.

    `version` is the control plane's revision.
    """

    __slots__ = ("catalog", "features", "plans", "version")

    def __init__(self, catalog: Catalog, version: int) -> None:
        self.catalog = catalog
        self.version = version
        self.features: dict[str, Feature] = {feature.key: feature for feature in catalog.features}
        self.plans: dict[str, dict[str, EntitlementGrant]] = {
            plan.key: _by_feature(plan) for plan in catalog.plans
        }

    def resolve(self, segment: Segment, feature_key: str) -> Entitlement | None:
        """The entitlement of a feature in a segment; `None` for a feature the catalog lacks.

        An override replaces what the plan says.
        """
        feature = self.features.get(feature_key)
        if feature is None:
            return None
        grant = self.plans.get(segment.plan, {}).get(feature_key)
        for override in segment.overrides:
            if override.feature == feature_key:
                grant = override
        reason = _reason(segment, feature, grant)
        if grant is None or reason is not Reason.ALLOWED:
            return Entitlement(feature, reason)
        return Entitlement(feature, reason, grant.config_value, grant.limits)


def _by_feature(plan: Plan) -> dict[str, EntitlementGrant]:
    return {grant.feature: grant for grant in plan.entitlements}


def _reason(segment: Segment, feature: Feature, grant: EntitlementGrant | None) -> Reason:
    if segment.status in _DENIES_ALL:
        return Reason.TRIAL_ENDED if segment.after_trial else _DENIES_ALL[segment.status]
    if grant is None or (feature.kind is FeatureKind.BOOLEAN and not grant.enabled):
        return Reason.NOT_ENTITLED
    if segment.status is SubscriptionStatus.PAUSED and feature.kind is FeatureKind.METERED:
        return Reason.SUBSCRIPTION_PAUSED
    return Reason.ALLOWED
