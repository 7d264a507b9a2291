"""How large a catalog may be that is applied: what all plans and add-ons grant, and all prices.

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
            f"plans and add-ons have {size} entitlements, limits and rates in "
            f"all{_priced(catalog)}: at most are {most}"
        )
        yield RuleProblem(("plans",), message)
    sold, most = _sold(catalog), bounds.SOLD_PARTS_MAX
    if sold > most and sold > _sold(before):
        message = (
            f"the plans that add-ons are sold with, each times what its add-on grants, are {sold} "
            f"in all: at most are {most}"
        )
        yield RuleProblem(("add_ons",), message)


def _size(catalog: Catalog) -> int:
    return sum(map(_parts, _grants(catalog))) + _prices(catalog)


def _prices(catalog: Catalog) -> int:
    return sum(1 + len(cost.table.prices) for each in catalog.features for cost in each.costs)


def _priced(catalog: Catalog) -> str:
    return f", with {prices} prices of features" if (prices := _prices(catalog)) else ""


def _sold(catalog: Catalog) -> int:
    return sum(
        len(add_on.plans) * sum(_parts(given.grant) for given in add_on.entitlements)
        for add_on in catalog.add_ons
    )


def _parts(grant: EntitlementGrant) -> int:
    changes = len(grant.limit_changes) + len(grant.rate_changes)
    changes += grant.overdraft_change is not None
    return 1 + len(grant.limits) + len(grant.rates) + changes


def _grants(catalog: Catalog) -> Iterator[EntitlementGrant]:
    for plan in all_versions(catalog):
        yield from plan.entitlements
    for add_on in catalog.add_ons:
        yield from (given.grant for given in add_on.entitlements)
