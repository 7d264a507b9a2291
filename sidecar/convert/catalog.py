"""The catalog: features, limits and plans."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.convert._checks import below, member, refuse_any
from sidecar.domain.catalog import (
    DEFAULT_WARNING_PERCENTS,
    Catalog,
    CatalogSnapshot,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
    Scope,
)
from sidecar.domain.catalog_rules import catalog_problems, limit_problems
from sidecar.domain.errors import InvalidInput
from sidecar.domain.windows import Alignment, WindowSpec, WindowUnit


def catalog_to_message(catalog: Catalog) -> catalog_pb2.Catalog:
    """Turn a catalog into a message."""
    return catalog_pb2.Catalog(
        features=map(feature_to_message, catalog.features),
        plans=map(plan_to_message, catalog.plans),
    )


def catalog_from_message(message: catalog_pb2.Catalog, field: str) -> Catalog:
    """Read a catalog, in the order given. What refers to what is left to `catalog_rules`."""
    catalog = Catalog(
        features=tuple(
            _feature(feature, below(field, f"features[{at}]"))
            for at, feature in enumerate(message.features)
        ),
        plans=tuple(
            _plan(plan, below(field, f"plans[{at}]")) for at, plan in enumerate(message.plans)
        ),
    )
    refuse_any(catalog_problems(catalog), field)
    return catalog


def catalog_snapshot_to_message(snapshot: CatalogSnapshot) -> catalog_pb2.CatalogSnapshot:
    """Turn a catalog with its version into a message."""
    return catalog_pb2.CatalogSnapshot(
        version=snapshot.version, catalog=catalog_to_message(snapshot.catalog)
    )


def catalog_snapshot_from_message(
    message: catalog_pb2.CatalogSnapshot, field: str
) -> CatalogSnapshot:
    """Read a catalog with its version."""
    if message.version < 1:
        raise InvalidInput(below(field, "version"), "must be at least 1")
    catalog = catalog_from_message(message.catalog, below(field, "catalog"))
    return CatalogSnapshot(message.version, catalog)


def feature_to_message(feature: Feature) -> catalog_pb2.Feature:
    """Turn a feature into a message."""
    return catalog_pb2.Feature(
        key=feature.key,
        kind=catalog_pb2.FeatureKind.ValueType(feature.kind),
        name=feature.name,
        unit=feature.unit,
    )


def plan_to_message(plan: Plan) -> catalog_pb2.Plan:
    """Turn a plan into a message."""
    return catalog_pb2.Plan(
        key=plan.key, name=plan.name, entitlements=map(grant_to_message, plan.entitlements)
    )


def grant_to_message(grant: EntitlementGrant) -> catalog_pb2.EntitlementGrant:
    """Turn what one source grants of a feature into a message."""
    return catalog_pb2.EntitlementGrant(
        feature=grant.feature,
        enabled=grant.enabled,
        config_value=grant.config_value,
        limits=map(limit_to_message, grant.limits),
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
    )


def limit_to_message(limit: Limit) -> catalog_pb2.Limit:
    """Turn a limit into a message."""
    return catalog_pb2.Limit(
        id=limit.id,
        amount=limit.amount,
        window=window_to_message(limit.window),
        scope=scope_to_message(limit.scope),
        enforcement=catalog_pb2.Enforcement.ValueType(limit.enforcement),
        warning_percents=limit.warning_percents,
    )


def limit_from_message(message: catalog_pb2.Limit, field: str) -> Limit:
    """Read a limit."""
    limit = _limit(message, field)
    refuse_any(limit_problems(limit), field)
    return limit


def scope_to_message(scope: Scope) -> catalog_pb2.Scope:
    """Turn a scope into a message."""
    return catalog_pb2.Scope(dimensions=scope.dimensions, match=dict(scope.match))


def scope_from_message(message: catalog_pb2.Scope) -> Scope:
    """Read a scope; fixed values come sorted, since a message keeps no order of theirs."""
    return Scope(tuple(message.dimensions), tuple(sorted(message.match.items())))


def window_to_message(window: WindowSpec) -> catalog_pb2.Window:
    """Turn a window layout into a message."""
    return catalog_pb2.Window(
        unit=catalog_pb2.WindowUnit.ValueType(window.unit),
        interval=window.interval,
        alignment=catalog_pb2.Alignment.ValueType(window.alignment),
        first_weekday=window.first_weekday,
    )


def window_from_message(message: catalog_pb2.Window, field: str) -> WindowSpec:
    """Read a window layout; an interval of 0 is 1, and LIFETIME needs no alignment."""
    unit = member(WindowUnit, message.unit, below(field, "unit"))
    if unit is WindowUnit.LIFETIME and not message.alignment:
        alignment = Alignment.CALENDAR
    else:
        alignment = member(Alignment, message.alignment, below(field, "alignment"))
    try:
        return WindowSpec(unit, message.interval or 1, alignment, message.first_weekday)
    except ValueError as error:
        name, _, text = str(error).partition(": ")
        raise InvalidInput(below(field, name), text) from None


def _feature(message: catalog_pb2.Feature, field: str) -> Feature:
    kind = member(FeatureKind, message.kind, below(field, "kind"))
    return Feature(message.key, kind, message.name, message.unit)


def _plan(message: catalog_pb2.Plan, field: str) -> Plan:
    grants = tuple(
        grant_from_message(grant, below(field, f"entitlements[{at}]"))
        for at, grant in enumerate(message.entitlements)
    )
    return Plan(message.key, message.name, grants)


def _limit(message: catalog_pb2.Limit, field: str) -> Limit:
    return Limit(
        id=message.id,
        window=window_from_message(message.window, below(field, "window")),
        amount=message.amount if message.HasField("amount") else None,
        enforcement=member(Enforcement, message.enforcement, below(field, "enforcement")),
        scope=scope_from_message(message.scope),
        warning_percents=tuple(message.warning_percents) or DEFAULT_WARNING_PERCENTS,
    )
