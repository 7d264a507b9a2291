"""Versions of plans: which are sold, which companies still have, and what becomes of those.

Rules
- A plan has another version once it grants something else: 0 at first, then 1 and so on. Name,
  trial, grace and what becomes of companies make none.
- What becomes of companies that have the plan is said with the change. KEEP: they keep what their
  version grants. MOVE_NOW: they have the new one at once, whichever they had. MOVE_AT_PERIOD_END:
  they have it once their present billing period ends, whichever they had.
- An earlier version is kept as long as a company refers to it. It stands for all versions up to its
  own that no other stands for: companies on those have never had anything else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import chain

import msgspec

from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.catalog.plan_terms import ExistingCompanies

_replace = msgspec.structs.replace


class NewVersion(msgspec.Struct, frozen=True):
    """A plan that grants something else than before, and what becomes of companies that have it."""

    plan: str
    version: int
    existing: ExistingCompanies


def all_versions(catalog: Catalog) -> Iterator[Plan]:
    """Every plan, and every earlier version of one that companies still have."""
    return chain(catalog.plans, catalog.plan_versions)


def with_versions(catalog: Catalog, before: Catalog) -> Catalog:
    """A canonical catalog that is applied, with the versions that come of it.

    `before`: the one in force. What the one that is applied says of versions does not count.
    """
    held = {plan.key: plan for plan in before.plans}
    plans = tuple(_versioned(plan, held.get(plan.key)) for plan in catalog.plans)
    catalog = _replace(catalog, plans=plans)
    new = {each.plan: each.existing for each in new_versions(catalog, before)}
    sold = {plan.key for plan in plans}
    kept = [
        plan
        for plan in before.plan_versions
        if plan.key in sold and new.get(plan.key) is not ExistingCompanies.MOVE_NOW
    ]
    kept += [
        Plan(key, held[key].name, held[key].entitlements, held[key].version)
        for key, existing in new.items()
        if existing is not ExistingCompanies.MOVE_NOW
    ]
    kept.sort(key=lambda plan: (plan.key, plan.version))
    return _replace(catalog, plan_versions=tuple(kept))


def new_versions(catalog: Catalog, before: Catalog) -> list[NewVersion]:
    """The plans that were there before and have a new version, in the order of their keys."""
    held = {plan.key: plan.version for plan in before.plans}
    return [
        NewVersion(plan.key, plan.version, plan.existing)
        for plan in catalog.plans
        if plan.version != held.get(plan.key, plan.version)
    ]


def without_versions(catalog: Catalog, unused: Collection[tuple[str, int]]) -> Catalog:
    """A catalog without earlier versions, named by key and version, that no company refers to."""
    kept = tuple(plan for plan in catalog.plan_versions if (plan.key, plan.version) not in unused)
    return catalog if kept == catalog.plan_versions else _replace(catalog, plan_versions=kept)


def _versioned(plan: Plan, held: Plan | None) -> Plan:
    if held is None:
        return _replace(plan, version=0)
    return _replace(plan, version=held.version + (plan.entitlements != held.entitlements))
