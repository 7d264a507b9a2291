"""Dimensions that a request may leave out, and with them a limit that was meant for all.

A limit is about requests that have its dimensions. Who declares a dimension as `optional` has said
so; where its values are listed instead, that it may be left out is easily overlooked.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Final

from sidecar.domain.catalog.model import Catalog, Enforcement, Limit, RateLimit
from sidecar.domain.validation import RuleProblem

_DENYING: Final = (Enforcement.HARD, Enforcement.THROTTLE)
_NAMES_TOLD_MAX: Final = 10


def optional_dimensions(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield dimensions with listed values that are not required, though limits deny by them."""
    denying = _denying(catalog)
    for at, feature in enumerate(catalog.features):
        for place, dimension in enumerate(feature.dimensions or ()):
            limits = denying[feature.key, dimension.name]
            if limits and dimension.values and not dimension.required:
                told = ", ".join(sorted(limits)[:_NAMES_TOLD_MAX])
                message = (
                    f"{dimension.name!r} is optional: a request without it is not held to {told}; "
                    "say {required: true, values: [...]} where that is to hold for all"
                )
                yield RuleProblem(("features", at, "dimensions", "dimensions", place), message)


def _denying(catalog: Catalog) -> dict[tuple[str, str], set[str]]:
    """Names of the limits and rates that deny, by feature and dimension."""
    found: dict[tuple[str, str], set[str]] = defaultdict(set)
    grants = [grant for plan in catalog.plans for grant in plan.entitlements]
    grants += [given.grant for add_on in catalog.add_ons for given in add_on.entitlements]
    for grant in grants:
        counted: tuple[Limit | RateLimit, ...] = (*grant.limits, *grant.rates)
        for limit in counted:
            if limit.enforcement in _DENYING:
                for name in (*limit.scope.dimensions, *(name for name, _ in limit.scope.match)):
                    found[grant.feature, name].add(limit.id)
    return found
