"""What of a catalog is taken, and is likely not meant so: one place, for every source.

As `rules` does, it names things by path, in the order in which they were given. It is for catalogs
that passed the rules.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from typing import Final

from sidecar.domain.catalog.add_on_rules import add_on_warnings
from sidecar.domain.catalog.cost_warnings import cost_warnings
from sidecar.domain.catalog.dimensions import undeclared_dimensions
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, FeatureKind, Merge
from sidecar.domain.catalog.optional_dimensions import optional_dimensions
from sidecar.domain.catalog.pointless_limits import pointless_limits
from sidecar.domain.validation import RuleProblem, below

WARNINGS_MAX: Final = 100
"""Most that are told of a catalog."""
_APART: Final = (FeatureKind.CREDITS, FeatureKind.SEATS)


def warnings(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what is odd in a catalog, and what to write instead.

    Paths start as those of `rules.problems` do.
    """
    yield from undeclared_dimensions(catalog)
    yield from optional_dimensions(catalog)
    yield from cost_warnings(catalog)
    # Grants of credits add up, and who changes seats takes several: none keeps from another.
    apart = {each.key for each in catalog.features if each.kind in _APART}
    for at, plan in enumerate(catalog.plans):
        for index, grant in enumerate(plan.entitlements):
            yield from below(("plans", at, "entitlements", index), _grant_warnings(grant, apart))
    for at, add_on in enumerate(catalog.add_ons):
        for index, given in enumerate(add_on.entitlements):
            if given.merge is Merge.OVERRIDE:
                path = ("add_ons", at, "entitlements", index, "entitlement")
                yield from below(path, _grant_warnings(given.grant, apart))
    yield from add_on_warnings(catalog)


def _grant_warnings(grant: EntitlementGrant, apart: Container[str]) -> Iterator[RuleProblem]:
    if len(grant.limits) > 1 and grant.feature not in apart:
        yield from below(("limits",), pointless_limits(grant.limits))
