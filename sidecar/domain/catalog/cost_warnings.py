"""What of prices is taken, and is likely not meant so."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from sidecar.domain.catalog.model import Catalog, Feature
from sidecar.domain.credits.costs import free_of
from sidecar.domain.validation import RuleProblem


def cost_warnings(catalog: Catalog) -> Iterator[RuleProblem]:
    """Yield prices of nothing, and plans that grant usage and no credits for it."""
    for at, feature in enumerate(catalog.features):
        yield from _free(at, feature)
    costly = {each.key: each for each in catalog.features if each.costs}
    if costly:
        yield from _without_credits(catalog, costly)


def _free(at: int, feature: Feature) -> Iterator[RuleProblem]:
    for place, cost in enumerate(feature.costs):
        for value in free_of(cost.table):
            path = ("features", at, "costs", place)
            of = f" with {cost.table.by} {value!r}" if value else ""
            if cost.table.by and not value:
                of = f" with any other {cost.table.by}"
            yield RuleProblem(path, f"usage{of} costs nothing in {cost.credits!r}")


def _without_credits(catalog: Catalog, costly: dict[str, Feature]) -> Iterator[RuleProblem]:
    """Of add-ons that grant credits it is not looked at with which plans: they are for all."""
    brought = {given.grant.feature for add_on in catalog.add_ons for given in add_on.entitlements}
    for at, plan in enumerate(catalog.plans):
        granted = {grant.feature for grant in plan.entitlements} | brought
        lacking: defaultdict[str, list[int]] = defaultdict(list)
        for index, grant in enumerate(plan.entitlements):
            for cost in costly[grant.feature].costs if grant.feature in costly else ():
                if cost.credits not in granted:
                    lacking[cost.credits].append(index)
        for credits_key, places in lacking.items():
            feature = plan.entitlements[places[0]].feature
            message = (
                f"{feature!r} costs {credits_key!r}, which neither the plan nor an add-on grants: "
                "it is denied until credits are granted one by one"
            )
            yield RuleProblem(("plans", at, "entitlements", places[0]), message)
