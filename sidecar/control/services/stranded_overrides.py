"""Says whose overrides lose, by what is applied, the limit or the rate that they name."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec

from sidecar.control.services.given_companies import PAGE, GivenCompany
from sidecar.control.services.names import Called
from sidecar.control.services.plan_moves import with_moves
from sidecar.control.storage.plan_values import PlanMove
from sidecar.control.storage.port import ReadTransaction
from sidecar.domain.catalog.model import Catalog, EntitlementGrant
from sidecar.domain.catalog.plan_terms import ExistingCompanies
from sidecar.domain.catalog.versions import all_versions, new_versions
from sidecar.domain.company.model import AddOnSubscription, Company
from sidecar.domain.difference.stranded_overrides import StrandedChange, stranded_changes
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.validation import Path, RuleProblem

_COMPANIES_TOLD_MAX: Final = 5

_Pair: TypeAlias = tuple[Company, Company]
"""A company as it is stored, and as it is to be."""
_Group: TypeAlias = tuple[Path, StrandedChange]


class _Holders(msgspec.Struct):
    """How many companies, and the first of them."""

    companies: int = 0
    first: list[str] = []

    def add(self, company: str) -> None:
        self.companies += 1
        if self.companies <= _COMPANIES_TOLD_MAX:
            self.first.append(company)


def stranded_override_warnings(
    transaction: ReadTransaction,
    catalogs: tuple[Catalog, Catalog],
    given: tuple[Catalog | None, Sequence[Company]],
    put: Sequence[GivenCompany],
    gone: Collection[str],
    now_us: int,
) -> Iterator[RuleProblem]:
    """Yield each such limit or rate, with the companies whose overrides name it.

    Arguments are those of `apply_warnings`.
    """
    before, after = catalogs
    catalog, companies = given
    places_of_plans = _places_of_plans(catalog)
    places: dict[str, Path] = {
        company.id: ("companies", at) for at, company in enumerate(companies)
    }
    moves = [
        PlanMove(new.plan, new.version, now_us)
        for new in new_versions(after, before)
        if new.existing is ExistingCompanies.MOVE_AT_PERIOD_END
    ]
    groups: dict[_Group, _Holders] = {}
    sold_before: CatalogIndex | None = None
    for held, to_be in _pairs(transaction, before, after, put, gone):
        if not any(override.entitlement.is_change for override in to_be.overrides):
            continue
        if sold_before is None:
            sold_before, sold = CatalogIndex(before, 1), CatalogIndex(after, 1)
        moved = with_moves(to_be, moves, now_us)
        for change in dict.fromkeys(stranded_changes(held, sold_before, moved, sold, now_us)):
            plan = places_of_plans.get(change.plan, {})
            place = plan.get(change.feature) or plan.get("", ())
            if to_be.id in places and _bought(held) != _bought(to_be):
                place = places[to_be.id]
            groups.setdefault((place, change), _Holders()).add(to_be.id)
    for (place, change), holders in groups.items():
        holders.first = [*map(Called(transaction, holders.first), holders.first)]
        yield RuleProblem(place, _message(change, holders))


def _pairs(
    transaction: ReadTransaction,
    before: Catalog,
    after: Catalog,
    put: Sequence[GivenCompany],
    gone: Collection[str],
) -> Iterator[_Pair]:
    done = {each.company.id for each in put}.union(gone)
    yield from ((each.before, each.company) for each in put if each.before is not None)
    features = sorted(_narrowed_features(before, after))
    last = ""
    while features and (page := transaction.companies_naming(features, last, PAGE)):
        yield from ((each.company, each.company) for each in page if each.company.id not in done)
        last = page[-1].company.id


def _narrowed_features(before: Catalog, after: Catalog) -> set[str]:
    """Features of which a plan or an add-on grants something less by name than before."""
    plans = {plan.key: plan.entitlements for plan in after.plans}
    unchanged = {plan.key for plan in before.plans if plans.get(plan.key) == plan.entitlements}
    found: set[str] = set()
    for plan in all_versions(before):
        if plan.key not in unchanged:
            found |= _lost(plan.entitlements, plans.get(plan.key, ()))
    add_ons = {each.key: [given.grant for given in each.entitlements] for each in after.add_ons}
    for add_on in before.add_ons:
        grants = [given.grant for given in add_on.entitlements]
        found |= _lost(grants, add_ons.get(add_on.key, ()))
    return found


def _lost(before: Sequence[EntitlementGrant], after: Sequence[EntitlementGrant]) -> set[str]:
    names: Mapping[str, set[str]] = {grant.feature: _names(grant) for grant in after}
    return {
        grant.feature
        for grant in before
        if grant.feature not in names or not _names(grant) <= names[grant.feature]
    }


def _names(grant: EntitlementGrant) -> set[str]:
    return {part.id for part in grant.limits} | {part.id for part in grant.rates}


def _places_of_plans(catalog: Catalog | None) -> dict[str, dict[str, Path]]:
    """Where a catalog says what a plan grants of a feature, and of the feature "" the plan."""
    places: dict[str, dict[str, Path]] = {}
    for at, plan in enumerate(() if catalog is None else catalog.plans):
        path: Path = ("catalog", "plans", at)
        places[plan.key] = {"": path}
        for index, grant in enumerate(plan.entitlements):
            places[plan.key][grant.feature] = (*path, "entitlements", index)
    return places


def _bought(company: Company) -> tuple[str, tuple[AddOnSubscription, ...]]:
    subscription = company.subscription
    return ("", ()) if subscription is None else (subscription.plan, subscription.add_ons)


def _message(change: StrandedChange, holders: _Holders) -> str:
    number = "1 company" if holders.companies == 1 else f"{holders.companies:,} companies"
    first = ", ".join(map(repr, holders.first))
    more = ", ..." if holders.companies > len(holders.first) else ""
    with_plan = f"with plan {change.plan!r}" if change.plan else "without a plan"
    again = "keep it, or revoke them"
    if change.counts_now:
        again = f"keep the name, or grant it again for {change.counts_now!r}, which counts the same"
    return (
        f"{with_plan} there is no {change.what} {change.name!r} of {change.feature!r} any more, "
        f"which overrides of {number} ({first}{more}) change: what they were granted has no effect "
        f"then; {again}"
    )
