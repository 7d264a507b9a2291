"""How large a catalog may be that is applied: what all plans and add-ons grant together.

Features, plans and limits have bounds of their own, whose product no process could hold. A catalog
that was larger before may stay as large.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.domain import bounds
from sidecar.domain.catalog.model import Catalog, EntitlementGrant
from sidecar.domain.catalog.versions import all_versions
from sidecar.domain.validation import RuleProblem


def catalog_size_problems(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    """Yield what is too much of a catalog. `before`: the one in force."""
    size, most = _size(catalog), bounds.CATALOG_PARTS_MAX
    if size > most and size > _size(before):
        message = (
            f"plans and add-ons have {size} entitlements, limits and rates in all: "
            f"at most are {most}"
        )
        yield RuleProblem(("plans",), message)


def _size(catalog: Catalog) -> int:
    return sum(1 + len(grant.limits) + len(grant.rates) for grant in _grants(catalog))


def _grants(catalog: Catalog) -> Iterator[EntitlementGrant]:
    for plan in all_versions(catalog):
        yield from plan.entitlements
    for add_on in catalog.add_ons:
        yield from (given.grant for given in add_on.entitlements)
