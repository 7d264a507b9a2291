"""The catalog: features, grants, plans and add-ons."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    CatalogSnapshot,
    Dimension,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Merge,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies, Proration, UnusedCredits
from sidecar.domain.catalog.rules import catalog_checks
from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices, whole
from sidecar.shared.convert._checks import below, each, member, refuse_any_in_slices
from sidecar.shared.convert.grants import grant_from_message, grant_to_message
from sidecar.shared.convert.kinds import (
    feature_cost_from_message,
    feature_cost_to_message,
    level_billing_from_message,
    level_billing_to_message,
)
from sidecar.shared.convert.plan_terms import (
    grace_from_message,
    grace_to_message,
    trial_from_message,
    trial_to_message,
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
        plan_versions=map(plan_to_message, catalog.plan_versions),
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
    policy, dimensions = feature.fail_policy, feature.dimensions
    ttl_max_us, billing = feature.ttl_max_us, feature.billing
    return catalog_pb2.Feature(
        key=feature.key,
        kind=catalog_pb2.FeatureKind.ValueType(feature.kind),
        name=feature.name,
        unit=feature.unit,
        fail_policy=None if policy == _DEFAULT_POLICY else fail_policy_to_message(policy),
        dimensions=None if dimensions is None else dimensions_to_message(dimensions),
        costs=map(feature_cost_to_message, feature.costs),
        ttl_max=None if ttl_max_us is None else duration(ttl_max_us),
        billing=None if billing is None else level_billing_to_message(billing),
    )


def dimensions_to_message(dimensions: Iterable[Dimension]) -> catalog_pb2.Dimensions:
    """Turn the dimensions that a feature declares into a message."""
    return catalog_pb2.Dimensions(
        dimensions=[
            catalog_pb2.Dimension(name=each.name, required=each.required, values=each.values)
            for each in dimensions
        ]
    )


def fail_policy_to_message(policy: FailPolicy) -> catalog_pb2.FailPolicy:
    """Turn a fail policy into a message."""
    stale_after_us = policy.stale_after_us
    return catalog_pb2.FailPolicy(
        no_snapshot=catalog_pb2.FailAction.ValueType(policy.no_snapshot),
        stale=catalog_pb2.FailAction.ValueType(policy.stale),
        stale_after=None if stale_after_us is None else duration(stale_after_us),
        outbox_full=catalog_pb2.FailAction.ValueType(policy.outbox_full),
        no_lease=catalog_pb2.FailAction.ValueType(policy.no_lease),
    )


def plan_to_message(plan: Plan) -> catalog_pb2.Plan:
    """Turn a plan into a message."""
    existing, unused = plan.existing, plan.unused_credits
    return catalog_pb2.Plan(
        key=plan.key,
        name=plan.name,
        entitlements=map(grant_to_message, plan.entitlements),
        version=plan.version,
        existing=catalog_pb2.ExistingCompanies.ValueType(
            0 if existing is ExistingCompanies.MOVE_NOW else existing
        ),
        trial=None if plan.trial is None else trial_to_message(plan.trial),
        grace=None if plan.grace is None else grace_to_message(plan.grace),
        unused_credits=catalog_pb2.UnusedCredits.ValueType(
            0 if unused is UnusedCredits.KEEP else unused
        ),
        proration=catalog_pb2.Proration.ValueType(
            0 if plan.proration is Proration.FULL else plan.proration
        ),
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
        plans=add_on.plans,
        once=add_on.once,
    )


def _catalog(message: catalog_pb2.Catalog, field: str) -> Slices[Catalog]:
    features = yield from each(message.features, _feature, below(field, "features"))
    plans = []
    for at, plan in enumerate(message.plans):
        plans.append((yield from _plan(plan, below(field, f"plans[{at}]"))))
    add_ons = []
    for at, add_on in enumerate(message.add_ons):
        add_ons.append((yield from _add_on(add_on, below(field, f"add_ons[{at}]"))))
    versions = []
    for at, plan in enumerate(message.plan_versions):
        versions.append((yield from _plan(plan, below(field, f"plan_versions[{at}]"))))
    catalog = Catalog(features, tuple(plans), tuple(add_ons), message.default_plan, tuple(versions))
    yield from refuse_any_in_slices(catalog_checks(catalog), field)
    return catalog


def _feature(message: catalog_pb2.Feature, field: str) -> Feature:
    kind = member(FeatureKind, message.kind, below(field, "kind"))
    policy = _DEFAULT_POLICY
    if message.HasField("fail_policy"):
        policy = _fail_policy(message.fail_policy, below(field, "fail_policy"))
    dimensions = ttl_max_us = billing = None
    if message.HasField("dimensions"):
        dimensions = dimensions_from_message(message.dimensions)
    if message.HasField("ttl_max"):
        ttl_max_us = duration_us(message.ttl_max, below(field, "ttl_max"))
    if message.HasField("billing"):
        billing = level_billing_from_message(message.billing, below(field, "billing"))
    return Feature(
        key=message.key,
        kind=kind,
        name=message.name,
        unit=message.unit,
        fail_policy=policy,
        dimensions=dimensions,
        costs=tuple(
            feature_cost_from_message(cost, below(field, f"costs[{at}]"))
            for at, cost in enumerate(message.costs)
        ),
        ttl_max_us=ttl_max_us,
        billing=billing,
    )


def dimensions_from_message(message: catalog_pb2.Dimensions) -> tuple[Dimension, ...]:
    """Read the dimensions that a feature declares."""
    return tuple(
        Dimension(each.name, each.required, tuple(each.values)) for each in message.dimensions
    )


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
        no_lease=member(FailAction, message.no_lease, below(field, "no_lease"), default.no_lease),
    )


def _plan(message: catalog_pb2.Plan, field: str) -> Slices[Plan]:
    path = below(field, "entitlements")
    grants = yield from each(message.entitlements, grant_from_message, path)
    yield
    existing = member(
        ExistingCompanies, message.existing, below(field, "existing"), ExistingCompanies.MOVE_NOW
    )
    unused = member(
        UnusedCredits,
        message.unused_credits,
        below(field, "unused_credits"),
        UnusedCredits.KEEP,
    )
    proration = member(Proration, message.proration, below(field, "proration"), Proration.FULL)
    trial = grace = None
    if message.HasField("trial"):
        trial = trial_from_message(message.trial, below(field, "trial"))
    if message.HasField("grace"):
        grace = grace_from_message(message.grace, below(field, "grace"))
    return Plan(
        message.key,
        message.name,
        grants,
        message.version,
        existing,
        trial,
        grace,
        unused,
        proration,
    )


def _add_on(message: catalog_pb2.AddOn, field: str) -> Slices[AddOn]:
    path = below(field, "entitlements")
    entitlements = yield from each(message.entitlements, _add_on_entitlement, path)
    yield
    return AddOn(
        message.key,
        message.name,
        message.rank,
        entitlements,
        tuple(message.plans),
        message.once,
    )


def _add_on_entitlement(message: catalog_pb2.AddOnEntitlement, field: str) -> AddOnEntitlement:
    grant = grant_from_message(message.entitlement, below(field, "entitlement"))
    merge = member(Merge, message.merge, below(field, "merge"), Merge.INCREMENT)
    return AddOnEntitlement(grant, merge)
