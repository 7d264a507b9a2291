"""What the terms of a plan must fulfil: its trial, and what follows a late payment."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from sidecar.domain import bounds
from sidecar.domain.catalog.model import Plan
from sidecar.domain.nearest import lacks
from sidecar.domain.validation import RuleProblem, duration_problems, identifier_problems


def terms_problems(plan: Plan) -> Iterator[RuleProblem]:
    """Yield what is wrong with a plan's terms by themselves."""
    for name, terms in (("trial", plan.trial), ("grace", plan.grace)):
        if terms is None:
            continue
        if terms.length_us is not None:
            shortest_us, longest_us = bounds.TERM_US_MIN, bounds.TERM_US_MAX
            path = (name, "length")
            yield from duration_problems(path, terms.length_us, shortest_us, longest_us)
        if terms.end_plan:
            yield from identifier_problems((name, "end_plan"), terms.end_plan)
    if plan.grace is not None and plan.grace.end_plan and plan.grace.length_us is None:
        yield RuleProblem(("grace", "end_plan"), "needs a length, after which it is in force")


def terms_references(plan: Plan, plans: Collection[str]) -> Iterator[RuleProblem]:
    """Yield which plans that follow are not in the catalog."""
    for name, terms in (("trial", plan.trial), ("grace", plan.grace)):
        if terms is not None and terms.end_plan and terms.end_plan not in plans:
            yield RuleProblem((name, "end_plan"), lacks("plan", terms.end_plan, plans))
