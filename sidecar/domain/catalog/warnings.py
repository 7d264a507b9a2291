"""What of a catalog is taken, and is likely not meant so: one place, for every source.

As `rules` does, it names things by path, in the order in which they were given. It is for catalogs
that passed the rules.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidecar.domain.catalog.add_on_rules import add_on_warnings
from sidecar.domain.catalog.dimensions import undeclared_dimensions
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Merge
from sidecar.domain.catalog.optional_dimensions import optional_dimensions
from sidecar.domain.catalog.pointless_limits import pointless_limits
from sidecar.domain.validation import RuleProblem, below

WARNINGS_MAX: Final = 100
"""Most that are told of a catalog."""


def warnings(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield what is odd in a catalog, and what to write instead.

    Paths start as those of `rules.problems` do.
    """
    yield from undeclared_dimensions(catalog)
    yield from optional_dimensions(catalog)
    for at, plan in enumerate(catalog.plans):
        for index, grant in enumerate(plan.entitlements):
            yield from below(("plans", at, "entitlements", index), _grant_warnings(grant))
    for at, add_on in enumerate(catalog.add_ons):
        for index, given in enumerate(add_on.entitlements):
            if given.merge is Merge.OVERRIDE:
                path = ("add_ons", at, "entitlements", index, "entitlement")
                yield from below(path, _grant_warnings(given.grant))
    yield from add_on_warnings(catalog)


def _grant_warnings(grant: EntitlementGrant) -> Iterator[RuleProblem]:
    if len(grant.limits) > 1:
        yield from below(("limits",), pointless_limits(grant.limits))
