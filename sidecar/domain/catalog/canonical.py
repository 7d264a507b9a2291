"""Canonical forms: what means the same is written the same, so that equal things compare equal.

Sorted are features, plans, add-ons and overrides by key, planned changes by time, and the names in
a scope. Limits and rates keep their order, since answers show them in it. For values that passed
`rules`.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    Limit,
    Plan,
    RateLimit,
    Scope,
)
from sidecar.domain.company.model import (
    AddOnSubscription,
    Company,
    Override,
    ScheduledChange,
    Subscription,
    SubscriptionStatus,
)
from sidecar.domain.time.windows import UNENDING, Alignment, WindowSpec


def canonical_catalog(catalog: Catalog) -> Catalog:
    """Sort features, plans and add-ons by key, and entitlements by feature."""
    return Catalog(
        features=tuple(map(_feature, sorted(catalog.features, key=lambda feature: feature.key))),
        plans=tuple(_plan(plan) for plan in sorted(catalog.plans, key=lambda plan: plan.key)),
        add_ons=tuple(map(_add_on, sorted(catalog.add_ons, key=lambda add_on: add_on.key))),
        default_plan=catalog.default_plan,
        plan_versions=tuple(map(_plan, sorted(catalog.plan_versions, key=_version_of))),
    )


def canonical_company(company: Company) -> Company:
    """Sort overrides by feature and id, add-ons by key, and planned changes by time."""
    subscription = company.subscription
    overrides = sorted(map(_override, company.overrides), key=_name_of)
    return msgspec.structs.replace(
        company,
        subscription=None if subscription is None else _subscription(subscription),
        overrides=tuple(overrides),
    )


def canonical_scope(scope: Scope) -> Scope:
    """Sort the names: scopes that differ in their order count on the same counter."""
    return Scope(tuple(sorted(scope.dimensions)), tuple(sorted(scope.match)))


def canonical_window(window: WindowSpec) -> WindowSpec:
    """Drop what has no effect: what does not end knows neither interval nor alignment."""
    return WindowSpec(window.unit) if window.unit in UNENDING else window


def _feature(feature: Feature) -> Feature:
    if not feature.dimensions and not feature.costs:
        return feature
    dimensions = feature.dimensions
    if dimensions is not None:
        dimensions = tuple(sorted(dimensions, key=lambda dimension: dimension.name))
    costs = tuple(sorted(map(_cost, feature.costs), key=lambda cost: cost.credits))
    return msgspec.structs.replace(feature, dimensions=dimensions, costs=costs)


def _cost(cost: FeatureCost) -> FeatureCost:
    prices = dict(sorted(cost.table.prices.items()))
    return FeatureCost(cost.credits, msgspec.structs.replace(cost.table, prices=prices))


def _version_of(plan: Plan) -> tuple[str, int]:
    return plan.key, plan.version


def _plan(plan: Plan) -> Plan:
    grants = sorted(map(_grant, plan.entitlements), key=lambda grant: grant.feature)
    return msgspec.structs.replace(plan, entitlements=tuple(grants))


def _add_on(add_on: AddOn) -> AddOn:
    given = [AddOnEntitlement(_grant(given.grant), given.merge) for given in add_on.entitlements]
    given.sort(key=lambda given: given.grant.feature)
    plans = tuple(sorted(add_on.plans))
    return msgspec.structs.replace(add_on, entitlements=tuple(given), plans=plans)


def _grant(grant: EntitlementGrant) -> EntitlementGrant:
    return msgspec.structs.replace(
        grant, limits=tuple(map(_limit, grant.limits)), rates=tuple(map(_rate, grant.rates))
    )


def _limit(limit: Limit) -> Limit:
    return msgspec.structs.replace(
        limit,
        window=canonical_window(limit.window),
        scope=canonical_scope(limit.scope),
        amounts=tuple(sorted(limit.amounts, key=lambda amount: amount[0])),
    )


def _rate(rate: RateLimit) -> RateLimit:
    return msgspec.structs.replace(rate, scope=canonical_scope(rate.scope))


def _override(override: Override) -> Override:
    return msgspec.structs.replace(override, entitlement=_grant(override.entitlement))


def _name_of(override: Override) -> tuple[str, str]:
    return override.entitlement.feature, override.entitlement.id


def _subscription(subscription: Subscription) -> Subscription:
    """Sorted; a billing period starts at the anchor, whatever its alignment says."""
    period = subscription.billing_period
    return msgspec.structs.replace(
        subscription,
        add_ons=_add_ons(subscription.add_ons),
        changes=tuple(sorted(map(_change, subscription.changes), key=lambda change: change.at_us)),
        billing_period=WindowSpec(period.unit, period.interval, Alignment.ANCHORED),
        trial_end_status=SubscriptionStatus.ACTIVE
        if subscription.trial_end_plan
        else subscription.trial_end_status,
    )


def _change(change: ScheduledChange) -> ScheduledChange:
    if change.add_ons is None:
        return change
    return msgspec.structs.replace(change, add_ons=_add_ons(change.add_ons))


def _add_ons(add_ons: tuple[AddOnSubscription, ...]) -> tuple[AddOnSubscription, ...]:
    return tuple(sorted(add_ons, key=lambda add_on_subscription: add_on_subscription.add_on))
