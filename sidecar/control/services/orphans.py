"""What companies that stay would lose with a catalog that is applied: it is refused, and told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain
from typing import NamedTuple, TypeAlias

import msgspec

from sidecar.control.services.given_companies import PAGE
from sidecar.control.services.ways_out import of_another, told_together
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import StoredCompany
from sidecar.domain.catalog.dimensions import UsedDimensions
from sidecar.domain.catalog.model import Catalog, EntitlementGrant
from sidecar.domain.catalog.rules import overrides_problems
from sidecar.domain.catalog.sold_with import narrowed, sold_with
from sidecar.domain.company.model import Company
from sidecar.domain.company.rules import company_references, sold_apart_problems
from sidecar.domain.company.subscription_lifecycle import normalise
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.errors import InvalidInput
from sidecar.domain.validation import Path, RuleProblem, field_path_text

_OverrideCheck: TypeAlias = tuple[
    str, set[str], Callable[[EntitlementGrant], Iterator[RuleProblem]]
]
"""A part of the catalog, the features of which it changed, and what their overrides must fulfil."""


class _Orphan(NamedTuple):
    """A company's field that loses what it refers to. `part`: of the catalog, which lacks it."""

    part: str
    text: str
    way_out: str


def refuse_orphans(
    transaction: ReadTransaction, before: Catalog, after: Catalog, gone: set[str], now_us: int
) -> None:
    """Refuse to take away from companies that stay what they refer to.

    Raises `InvalidInput` that tells the first of them. `gone`: those that do not stay as they are.
    """
    found = _orphans(transaction, before, after, gone, now_us)
    first = next(found, None)
    if first is not None:
        told = told_together((each.text, each.way_out) for each in chain([first], found))
        raise InvalidInput(first.part, told)


def _orphans(
    transaction: ReadTransaction, before: Catalog, after: Catalog, gone: set[str], now_us: int
) -> Iterator[_Orphan]:
    kinds = {feature.key: feature.kind for feature in after.features}
    plans = {plan.key for plan in after.plans}
    add_ons = sold_with(after)
    lost = [plan.key for plan in before.plans if plan.key not in plans]
    lost += [add_on.key for add_on in before.add_ons if add_on.key not in add_ons]
    lost += [
        feature.key for feature in before.features if kinds.get(feature.key) is not feature.kind
    ]
    counted = CountedLimits(after)
    used = UsedDimensions(after)
    checks: list[_OverrideCheck] = [
        ("plans", counted.grown_since(CountedLimits(before)), counted.override_problems),
        ("features", used.changed_since(UsedDimensions(before)), used.problems),
    ]
    lost += [feature for _, features, _ in checks for feature in features]
    lost += narrowed(before, after)
    for stored in _companies_naming(transaction, lost):
        company = stored.shown
        if stored.company.id in gone:
            continue
        then = _as_of(company, now_us)
        for of, found in (
            (company, company_references(company, plans, kinds, add_ons)),
            (then, sold_apart_problems(then, add_ons)),
        ):
            for path, message in found:
                text = f"company {company.id!r} needs it ({field_path_text(path)}): {message}"
                yield _Orphan(_lost(path), text, of_another(of, path))
        for part, features, problems_of in checks:
            for at, override in enumerate(company.overrides):
                if override.entitlement.feature in features:
                    for (_, _, *rest), message in overrides_problems([override], problems_of):
                        path = ("overrides", at, *rest)
                        text = f"company {company.id!r} ({field_path_text(path)}): {message}"
                        yield _Orphan(f"catalog.{part}", text, of_another(company, path))


def _as_of(company: Company, now_us: int) -> Company:
    """A company without what it was before: planned changes that have come into force are done."""
    if company.subscription is None:
        return company
    return msgspec.structs.replace(company, subscription=normalise(company.subscription, now_us))


def _lost(path: Path) -> str:
    """The part of the catalog that lacks what a company refers to."""
    if path[0] != "subscription":
        return "catalog.features"
    return "catalog.add_ons" if "add_ons" in path else "catalog.plans"


def _companies_naming(transaction: ReadTransaction, keys: list[str]) -> Iterator[StoredCompany]:
    after = ""
    while page := transaction.companies_naming(keys, after, PAGE):
        yield from page
        after = page[-1].company.id
