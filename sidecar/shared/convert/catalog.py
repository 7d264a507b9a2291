"""The catalog: features, grants, plans and add-ons."""

from __future__ import annotations

from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.model import (
    DEFAULT_WARNING_PERCENTS,
    AddOn,
    AddOnEntitlement,
    Catalog,
    CatalogSnapshot,
    Enforcement,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Merge,
    Plan,
    RateLimit,
)
from sidecar.domain.catalog.rules import catalog_checks
from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices, whole
from sidecar.shared.convert._checks import below, each, member, refuse_any_in_slices
from sidecar.shared.convert.limits import (
    rate_from_message,
    rate_to_message,
    rollover_from_message,
    rollover_to_message,
    scope_from_message,
    scope_to_message,
    window_from_message,
    window_to_message,
)
from sidecar.shared.convert.times import duration, duration_us

_DEFAULT_POLICY: Final = FailPolicy()


def catalog_to_message(catalog: Catalog) -> catalog_pb2.Catalog:
    """Turn a catalog into a message."""
    return catalog_pb2.Catalog(
        features=map(feature_to_message, catalog.features),
        plans=map(plan_to_message, catalog.plans),
        add_ons=map(add_on_to_message, catalog.add_ons),
        default_plan=catalog.default_plan,
    )


def catalog_from_message(message: catalog_pb2.Catalog, field: str) -> Catalog:
    """Read a catalog, in the order given. What refers to what is left to `domain.catalog.rules`."""
    return whole(_catalog(message, field))


def catalog_snapshot_to_message(snapshot: CatalogSnapshot) -> catalog_pb2.CatalogSnapshot:
    """Turn a catalog with its version into a message."""
    return catalog_pb2.CatalogSnapshot(
        version=snapshot.version, catalog=catalog_to_message(snapshot.catalog)
    )


def catalog_snapshot_in_slices(
    message: catalog_pb2.CatalogSnapshot, field: str
) -> Slices[CatalogSnapshot]:
    """Read a catalog with its version; in slices, since it may be large."""
    if message.version < 1:
        raise InvalidInput(below(field, "version"), "must be at least 1")
    catalog = yield from _catalog(message.catalog, below(field, "catalog"))
    return CatalogSnapshot(message.version, catalog)


def feature_to_message(feature: Feature) -> catalog_pb2.Feature:
    """Turn a feature into a message."""
    policy = feature.fail_policy
    return catalog_pb2.Feature(
        key=feature.key,
        kind=catalog_pb2.FeatureKind.ValueType(feature.kind),
        name=feature.name,
        unit=feature.unit,
        fail_policy=None if policy == _DEFAULT_POLICY else fail_policy_to_message(policy),
    )


def fail_policy_to_message(policy: FailPolicy) -> catalog_pb2.FailPolicy:
    """Turn a fail policy into a message."""
    stale_after_us = policy.stale_after_us
    return catalog_pb2.FailPolicy(
        no_snapshot=catalog_pb2.FailAction.ValueType(policy.no_snapshot),
        stale=catalog_pb2.FailAction.ValueType(policy.stale),
        stale_after=None if stale_after_us is None else duration(stale_after_us),
        outbox_full=catalog_pb2.FailAction.ValueType(policy.outbox_full),
    )


def plan_to_message(plan: Plan) -> catalog_pb2.Plan:
    """Turn a plan into a message."""
    return catalog_pb2.Plan(
        key=plan.key, name=plan.name, entitlements=map(grant_to_message, plan.entitlements)
    )


def add_on_to_message(add_on: AddOn) -> catalog_pb2.AddOn:
    """Turn an add-on into a message."""
    return catalog_pb2.AddOn(
        key=add_on.key,
        name=add_on.name,
        rank=add_on.rank,
        entitlements=[
            catalog_pb2.AddOnEntitlement(
                entitlement=grant_to_message(given.grant),
                merge=catalog_pb2.Merge.ValueType(given.merge),
            )
            for given in add_on.entitlements
        ],
    )


def grant_to_message(grant: EntitlementGrant) -> catalog_pb2.EntitlementGrant:
    """Turn what one source grants of a feature into a message."""
    return catalog_pb2.EntitlementGrant(
        feature=grant.feature,
        enabled=grant.enabled,
        config_value=grant.config_value,
        limits=map(limit_to_message, grant.limits),
        rates=map(rate_limit_to_message, grant.rates),
    )


def grant_from_message(message: catalog_pb2.EntitlementGrant, field: str) -> EntitlementGrant:
    """Read a grant. Its bounds are checked with those of what it is a part of."""
    return EntitlementGrant(
        feature=message.feature,
        enabled=message.enabled,
        config_value=message.config_value,
        limits=tuple(
            _limit(limit, below(field, f"limits[{at}]")) for at, limit in enumerate(message.limits)
        ),
        rates=tuple(
            _rate_limit(rate, below(field, f"rates[{at}]")) for at, rate in enumerate(message.rates)
        ),
    )


def limit_to_message(limit: Limit) -> catalog_pb2.Limit:
    """Turn a limit into a message."""
    throttle, rollover = limit.throttle, limit.rollover
    return catalog_pb2.Limit(
        id=limit.id,
        amount=limit.amount,
        window=window_to_message(limit.window),
        scope=scope_to_message(limit.scope),
        enforcement=catalog_pb2.Enforcement.ValueType(limit.enforcement),
        warning_percents=limit.warning_percents,
        throttle=None if throttle is None else rate_to_message(throttle),
        rollover=None if rollover is None else rollover_to_message(rollover),
    )


def rate_limit_to_message(rate: RateLimit) -> catalog_pb2.RateLimit:
    """Turn a short-term limit into a message."""
    return catalog_pb2.RateLimit(
        id=rate.id,
        rate=rate_to_message(rate.rate),
        enforcement=catalog_pb2.Enforcement.ValueType(rate.enforcement),
        scope=scope_to_message(rate.scope),
    )


def _catalog(message: catalog_pb2.Catalog, field: str) -> Slices[Catalog]:
    features = yield from each(message.features, _feature, below(field, "features"))
    plans = []
    for at, plan in enumerate(message.plans):
        plans.append((yield from _plan(plan, below(field, f"plans[{at}]"))))
    add_ons = []
    for at, add_on in enumerate(message.add_ons):
        add_ons.append((yield from _add_on(add_on, below(field, f"add_ons[{at}]"))))
    catalog = Catalog(features, tuple(plans), tuple(add_ons), message.default_plan)
    yield from refuse_any_in_slices(catalog_checks(catalog), field)
    return catalog


def _feature(message: catalog_pb2.Feature, field: str) -> Feature:
    kind = member(FeatureKind, message.kind, below(field, "kind"))
    policy = _DEFAULT_POLICY
    if message.HasField("fail_policy"):
        policy = _fail_policy(message.fail_policy, below(field, "fail_policy"))
    return Feature(message.key, kind, message.name, message.unit, policy)


def _fail_policy(message: catalog_pb2.FailPolicy, field: str) -> FailPolicy:
    stale_after_us = None
    if message.HasField("stale_after"):
        stale_after_us = duration_us(message.stale_after, below(field, "stale_after"))
    default = _DEFAULT_POLICY
    return FailPolicy(
        no_snapshot=member(
            FailAction, message.no_snapshot, below(field, "no_snapshot"), default.no_snapshot
        ),
        stale=member(FailAction, message.stale, below(field, "stale"), default.stale),
        stale_after_us=stale_after_us,
        outbox_full=member(
            FailAction, message.outbox_full, below(field, "outbox_full"), default.outbox_full
        ),
    )


def _plan(message: catalog_pb2.Plan, field: str) -> Slices[Plan]:
    path = below(field, "entitlements")
    grants = yield from each(message.entitlements, grant_from_message, path)
    yield
    return Plan(message.key, message.name, grants)


def _add_on(message: catalog_pb2.AddOn, field: str) -> Slices[AddOn]:
    path = below(field, "entitlements")
    entitlements = yield from each(message.entitlements, _add_on_entitlement, path)
    yield
    return AddOn(message.key, message.name, message.rank, entitlements)


def _add_on_entitlement(message: catalog_pb2.AddOnEntitlement, field: str) -> AddOnEntitlement:
    grant = grant_from_message(message.entitlement, below(field, "entitlement"))
    merge = member(Merge, message.merge, below(field, "merge"), Merge.INCREMENT)
    return AddOnEntitlement(grant, merge)


def _limit(message: catalog_pb2.Limit, field: str) -> Limit:
    throttle = rollover = None
    if message.HasField("throttle"):
        throttle = rate_from_message(message.throttle, below(field, "throttle"))
    if message.HasField("rollover"):
        rollover = rollover_from_message(message.rollover)
    return Limit(
        id=message.id,
        window=window_from_message(message.window, below(field, "window")),
        amount=message.amount if message.HasField("amount") else None,
        enforcement=member(Enforcement, message.enforcement, below(field, "enforcement")),
        scope=scope_from_message(message.scope),
        warning_percents=tuple(message.warning_percents) or DEFAULT_WARNING_PERCENTS,
        throttle=throttle,
        rollover=rollover,
    )


def _rate_limit(message: catalog_pb2.RateLimit, field: str) -> RateLimit:
    return RateLimit(
        id=message.id,
        rate=rate_from_message(message.rate, below(field, "rate")),
        enforcement=member(Enforcement, message.enforcement, below(field, "enforcement")),
        scope=scope_from_message(message.scope),
    )
