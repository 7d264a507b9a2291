"""A catalog's plans and add-ons, arranged for look-ups."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar

from sidecar.domain.catalog.model import AddOn, Catalog, EntitlementGrant, Plan
from sidecar.domain.slices import Slices

_Sold = TypeVar("_Sold", Plan, AddOn)
_T = TypeVar("_T")

_ARRANGED_AT_ONCE: Final = 5_000
"""Grants of a slice."""


class Arrangement(NamedTuple):
    """What plans and add-ons grant, by their keys and by feature.

    `earlier_plans`: versions of a plan that companies still have, ascending. `packs`: by feature
    and key.
    """

    plans: dict[str, dict[str, EntitlementGrant]]
    earlier_plans: dict[str, list[tuple[int, dict[str, EntitlementGrant]]]]
    add_ons: dict[str, AddOnIndex]
    packs: dict[str, dict[str, AddOnIndex]]


class AddOnIndex:
    """An add-on with what it grants, by feature."""

    __slots__ = ("by_feature", "once", "plans", "rank")

    def __init__(self, add_on: AddOn) -> None:
        self.rank = add_on.rank
        self.once = add_on.once
        self.plans = add_on.plans
        self.by_feature = {given.grant.feature: given for given in add_on.entitlements}


def arranged(catalog: Catalog) -> Slices[Arrangement]:
    """Arrange a catalog, in slices."""
    plans = dict((yield from _by_key(catalog.plans, _by_feature)))
    earlier: dict[str, list[tuple[int, dict[str, EntitlementGrant]]]] = {}
    for plan, (key, grants) in zip(
        catalog.plan_versions, (yield from _by_key(catalog.plan_versions, _by_feature)), strict=True
    ):
        earlier.setdefault(key, []).append((plan.version, grants))
    add_ons = dict((yield from _by_key(catalog.add_ons, AddOnIndex)))
    packs: dict[str, dict[str, AddOnIndex]] = {}
    for key, add_on in add_ons.items():
        for feature in add_on.by_feature if add_on.once else ():
            packs.setdefault(feature, {})[key] = add_on
    return Arrangement(plans, earlier, add_ons, packs)


def _by_key(sold: Sequence[_Sold], arrange: Callable[[_Sold], _T]) -> Slices[list[tuple[str, _T]]]:
    found: list[tuple[str, _T]] = []
    grants = 0
    for item in sold:
        found.append((item.key, arrange(item)))
        grants += 1 + len(item.entitlements)
        if grants > _ARRANGED_AT_ONCE:
            grants = 0
            yield
    return found


def _by_feature(plan: Plan) -> dict[str, EntitlementGrant]:
    return {grant.feature: grant for grant in plan.entitlements}
