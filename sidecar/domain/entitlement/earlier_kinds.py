"""What sidecars are told of a catalog that know no credits, seats and levels: nothing of them.

They would refuse a catalog with kinds that they do not know. Usage that costs credits they would
let pass for nothing, so such features are left out, too: what they do not know they deny.
"""

from __future__ import annotations

from collections.abc import Container, Iterator

import msgspec

from sidecar.domain.catalog.model import AddOn, Catalog, Feature, FeatureKind, Plan

_replace = msgspec.structs.replace


def catalog_without_kinds(catalog: Catalog) -> Catalog:
    """A catalog without features that such sidecars do not know, and without what grants them."""
    known = frozenset(each.key for each in catalog.features if _is_known(each))
    if len(known) == len(catalog.features):
        return catalog
    return _replace(
        catalog,
        features=tuple(each for each in catalog.features if each.key in known),
        plans=tuple(_plan(plan, known) for plan in catalog.plans),
        add_ons=tuple(_add_on(add_on, known) for add_on in catalog.add_ons),
        plan_versions=tuple(_plan(plan, known) for plan in catalog.plan_versions),
    )


def kinds_not_told(catalog: Catalog) -> Iterator[str]:
    """Yield, for people, the features that such sidecars are told nothing of."""
    for feature in catalog.features:
        if not _is_known(feature):
            what = "costs credits" if feature.costs else feature.kind.name
            yield f"{feature.key!r} ({what})"


def _is_known(feature: Feature) -> bool:
    return feature.kind <= FeatureKind.METERED and not feature.costs


def _plan(plan: Plan, known: Container[str]) -> Plan:
    grants = tuple(grant for grant in plan.entitlements if grant.feature in known)
    return _replace(plan, entitlements=grants)


def _add_on(add_on: AddOn, known: Container[str]) -> AddOn:
    given = tuple(each for each in add_on.entitlements if each.grant.feature in known)
    return _replace(add_on, entitlements=given)
