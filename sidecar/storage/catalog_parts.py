"""A catalog in parts, each a catalog of its own that is small enough to be written in one step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeVar

import msgspec

from sidecar.domain.catalog.model import AddOn, AddOnEntitlement, Catalog, EntitlementGrant, Plan
from sidecar.domain.slices import pages

PART_WEIGHT: Final = 1_000
"""What a part holds at most, in features, plans, add-ons, grants and limits, and one grant more."""

_Sold = TypeVar("_Sold", Plan, AddOn)


def parts_of(catalog: Catalog) -> Iterator[Catalog]:
    """Parts of a catalog, in order; `joined` makes it of them again."""
    yield Catalog(default_plan=catalog.default_plan)
    for features in pages(catalog.features, PART_WEIGHT):
        yield Catalog(features=tuple(features))
    for plans in _cut(catalog.plans):
        yield Catalog(plans=plans)
    for add_ons in _cut(catalog.add_ons):
        yield Catalog(add_ons=add_ons)
    for plan_versions in _cut(catalog.plan_versions):
        yield Catalog(plan_versions=plan_versions)


def joined(parts: Iterable[Catalog]) -> Catalog:
    """The catalog that was cut into parts."""
    whole = list(parts)
    return Catalog(
        features=tuple(feature for part in whole for feature in part.features),
        plans=_mended(plan for part in whole for plan in part.plans),
        add_ons=_mended(add_on for part in whole for add_on in part.add_ons),
        default_plan=whole[0].default_plan,
        plan_versions=_mended(plan for part in whole for plan in part.plan_versions),
    )


def _cut(sold: Sequence[_Sold]) -> Iterator[tuple[_Sold, ...]]:
    """As many as weigh less than the bound at a time; one that weighs more comes in pieces."""
    part: list[_Sold] = []
    weight = 0
    for item in sold:
        weight += 1
        start = 0
        for at, given in enumerate(item.entitlements, start=1):
            weight += _weight_of(given)
            if weight >= PART_WEIGHT:
                part.append(_piece(item, start, at))
                yield tuple(part)
                part, weight, start = [], 0, at
        if start < len(item.entitlements) or not start:
            part.append(_piece(item, start, len(item.entitlements)))
        if weight >= PART_WEIGHT:
            yield tuple(part)
            part, weight = [], 0
    if part:
        yield tuple(part)


def _piece(item: _Sold, start: int, stop: int) -> _Sold:
    return msgspec.structs.replace(item, entitlements=item.entitlements[start:stop])


def _mended(pieces: Iterable[_Sold]) -> tuple[_Sold, ...]:
    """Neighbours of the same key and version are pieces of one."""
    found: list[_Sold] = []
    entitlements: dict[tuple[str, int], list[EntitlementGrant | AddOnEntitlement]] = {}
    for piece in pieces:
        if _name_of(piece) not in entitlements:
            found.append(piece)
        entitlements.setdefault(_name_of(piece), []).extend(piece.entitlements)
    return tuple(
        msgspec.structs.replace(item, entitlements=tuple(entitlements[_name_of(item)]))
        for item in found
    )


def _name_of(item: Plan | AddOn) -> tuple[str, int]:
    return item.key, item.version if isinstance(item, Plan) else 0


def _weight_of(given: EntitlementGrant | AddOnEntitlement) -> int:
    grant = given if isinstance(given, EntitlementGrant) else given.grant
    return 1 + len(grant.limits) + len(grant.rates)
