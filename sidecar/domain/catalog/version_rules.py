"""What earlier versions of plans that companies keep must fulfil where a catalog is applied."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.domain.bounds import PLAN_VERSIONS_MAX
from sidecar.domain.catalog.add_on_rules import add_on_problems, add_on_warnings
from sidecar.domain.catalog.dimensions import UsedDimensions
from sidecar.domain.catalog.grant_rules import grant_references
from sidecar.domain.catalog.model import Catalog, Plan
from sidecar.domain.catalog.sold_with import lost_of_versions
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.validation import RuleProblem, field_path_text

_MOVE: Final = "to move them, change the plan with existing: move now"


def versions_problems(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    """Yield what is wrong with earlier versions of a catalog's plans. `before`: in force.

    Each is told of its plan, as the one who applies knows no others. What is there already stays.
    """
    if catalog == before:
        return
    yield from _count_problems(catalog, before)
    kinds = {feature.key: feature.kind for feature in catalog.features}
    used = UsedDimensions(catalog)
    places = {plan.key: at for at, plan in enumerate(catalog.plans)}
    for plan in catalog.plan_versions:
        for grant in plan.entitlements:
            for found in (grant_references(grant, kinds), used.problems(grant)):
                for path, message in found:
                    where = field_path_text(("entitlements", grant.feature, *path))
                    yield _problem(plan, places, f"{where}: {message}")
    if catalog.plan_versions:
        for path, message in CountedLimits(catalog).problems():
            if path[0] == "plan_versions":
                plan = catalog.plan_versions[int(path[1])]
                yield _problem(plan, places, f"{field_path_text(path[2:])}: {message}")
            else:
                yield RuleProblem(path, f"with what companies keep of plans: {message}")
        yield from lost_of_versions(catalog, before)
        for problem in add_on_problems(catalog):
            yield _add_on_problem(catalog, problem)


def versions_warnings(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    """Yield what is odd about add-ons beside what companies keep of plans, and not otherwise."""
    if catalog == before or not catalog.plan_versions:
        return
    told = set(add_on_warnings(msgspec.structs.replace(catalog, plan_versions=())))
    for problem in add_on_warnings(catalog):
        if problem not in told:
            yield _add_on_problem(catalog, problem)


def _add_on_problem(catalog: Catalog, problem: RuleProblem) -> RuleProblem:
    path, message = problem
    where = f"add-on {catalog.add_ons[int(path[1])].key!r}, " if len(path) > 1 else ""
    text = f"{where}with what companies keep of plans: {message}; {_MOVE}"
    return RuleProblem(("add_ons",), text)


def _count_problems(catalog: Catalog, before: Catalog) -> Iterator[RuleProblem]:
    counts = Counter(plan.key for plan in catalog.plan_versions)
    were = Counter(plan.key for plan in before.plan_versions)
    for at, plan in enumerate(catalog.plans):
        if counts[plan.key] > max(PLAN_VERSIONS_MAX, were[plan.key]):
            message = (
                f"companies keep {counts[plan.key] - 1} earlier versions of plan {plan.key!r} "
                f"already, at most are {PLAN_VERSIONS_MAX}: move them with this change "
                "(existing: move now, or move at period end), or one by one before it "
                f"(tallyd subscription change COMPANY --plan {plan.key})"
            )
            yield RuleProblem(("plans", at, "existing"), message)


def _problem(plan: Plan, places: dict[str, int], message: str) -> RuleProblem:
    text = f"version {plan.version} of plan {plan.key!r}, which companies keep: {message}; {_MOVE}"
    return RuleProblem(("plans", places[plan.key], "existing"), text)
