"""Which plans add-ons are sold with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from sidecar.domain.catalog.model import AddOn, Catalog, EntitlementGrant, Plan
from sidecar.domain.validation import RuleProblem

SoldWith: TypeAlias = Mapping[str, frozenset[str]]
"""Add-ons by key: the plans that each is sold with, none for all."""


def sold_with(catalog: Catalog) -> SoldWith:
    """The add-ons of a catalog, and the plans that each is sold with."""
    return {add_on.key: frozenset(add_on.plans) for add_on in catalog.add_ons}


def narrowed(before: Catalog, after: Catalog) -> list[str]:
    """Add-ons that are no longer sold with a plan that they were sold with."""
    later = sold_with(after)
    return [
        add_on
        for add_on, plans in sold_with(before).items()
        if (now := later.get(add_on)) and not (plans and plans <= now)
    ]


def version_that_holds(catalog: Catalog, plan: str, version: int) -> Plan | None:
    """The plan as a company has it that bought a version of it."""
    for earlier in catalog.plan_versions:  # sorted: the earliest that is not before it
        if earlier.key == plan and earlier.version >= version:
            return earlier
    return next((each for each in catalog.plans if each.key == plan), None)


def unmet(plan: Plan, add_on: AddOn) -> Iterator[tuple[str, str]]:
    """Yield feature and limit, or rate, that an add-on names and a plan does not have.

    What is unlimited lacks nothing.
    """
    granted = {grant.feature: grant for grant in plan.entitlements}
    for given in add_on.entitlements:
        for name in sorted(_named(given.grant) - _had(granted.get(given.grant.feature))):
            grant = granted.get(given.grant.feature)
            if grant is None or grant.limits:
                yield given.grant.feature, name


def lost_of_versions(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    """Yield what add-ons added to versions of plans that companies keep, and add no more."""
    were = {add_on.key: add_on for add_on in before.add_ons}
    changed = [
        (at, add_on, were[add_on.key])
        for at, add_on in enumerate(catalog.add_ons)
        if add_on.key in were and were[add_on.key] != add_on
    ]
    for at, add_on, was in changed:
        for plan in catalog.plan_versions:
            if was.plans and plan.key not in was.plans:
                continue
            lost = set(_met(plan, was)) - set(_met(plan, add_on))
            for feature, name in sorted(lost):
                message = (
                    f"no longer adds to {name!r} of {feature!r}, which companies keep of plan "
                    f"{plan.key!r} (version {plan.version}) and may have bought more of: keep the "
                    "name, or move them with existing: move now"
                )
                yield RuleProblem(("add_ons", at, "entitlements"), message)


def _met(plan: Plan, add_on: AddOn) -> Iterator[tuple[str, str]]:
    granted = {grant.feature: grant for grant in plan.entitlements}
    for given in add_on.entitlements:
        feature = given.grant.feature
        for name in _named(given.grant) & _had(granted.get(feature)):
            yield feature, name


def _named(grant: EntitlementGrant) -> set[str]:
    limits = {change.limit for change in grant.limit_changes}
    return limits | {change.rate for change in grant.rate_changes}


def _had(grant: EntitlementGrant | None) -> set[str]:
    if grant is None:
        return set()
    return {limit.id for limit in grant.limits} | {rate.id for rate in grant.rates}
