"""Canonical forms: what means the same is written the same, so that equal things compare equal.

Sorted are features, plans and overrides by key, and the names in a scope. Limits keep their order,
since answers show them in it. For values that passed `catalog_rules`.
"""

from __future__ import annotations

import msgspec

from sidecar.domain.catalog import Catalog, Company, EntitlementGrant, Limit, Plan, Scope
from sidecar.domain.windows import WindowSpec, WindowUnit


def canonical_catalog(catalog: Catalog) -> Catalog:
    """Sort features and plans by key, entitlements by feature."""
    return Catalog(
        features=tuple(sorted(catalog.features, key=lambda feature: feature.key)),
        plans=tuple(_plan(plan) for plan in sorted(catalog.plans, key=lambda plan: plan.key)),
    )


def canonical_company(company: Company) -> Company:
    """Sort overrides by feature."""
    if not company.overrides:
        return company
    overrides = [
        msgspec.structs.replace(override, entitlement=_grant(override.entitlement))
        for override in company.overrides
    ]
    overrides.sort(key=lambda override: override.entitlement.feature)
    return msgspec.structs.replace(company, overrides=tuple(overrides))


def _plan(plan: Plan) -> Plan:
    grants = sorted(map(_grant, plan.entitlements), key=lambda grant: grant.feature)
    return msgspec.structs.replace(plan, entitlements=tuple(grants))


def _grant(grant: EntitlementGrant) -> EntitlementGrant:
    return msgspec.structs.replace(grant, limits=tuple(map(_limit, grant.limits)))


def _limit(limit: Limit) -> Limit:
    return msgspec.structs.replace(
        limit, window=canonical_window(limit.window), scope=canonical_scope(limit.scope)
    )


def canonical_scope(scope: Scope) -> Scope:
    """Sort the names: scopes that differ in their order count on the same counter."""
    return Scope(tuple(sorted(scope.dimensions)), tuple(sorted(scope.match)))


def canonical_window(window: WindowSpec) -> WindowSpec:
    """Drop what has no effect: LIFETIME knows neither interval nor alignment."""
    return WindowSpec(WindowUnit.LIFETIME) if window.unit is WindowUnit.LIFETIME else window
