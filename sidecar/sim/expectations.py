"""Whether what a scenario expects is the case."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sidecar.domain.catalog.model import FeatureKind, Limit
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.requests import Check
from sidecar.domain.limits.usage import overage, remaining
from sidecar.shared.catalog_file.problems import FilePosition, Path
from sidecar.sim.model import Expectation, ScenarioStep
from sidecar.sim.present import Present, company_wide
from sidecar.sim.world import World

_NEVER_CHECKED = frozenset({FeatureKind.CREDITS, FeatureKind.SEATS, FeatureKind.LEVEL})
"""Kinds of features about which there are no checks: only what is used of them is known."""


class Unmet(NamedTuple):
    """Something that is not as expected, with its place in the file."""

    at: FilePosition
    path: Path
    message: str

    @property
    def text(self) -> str:
        """What it is, for the timeline: of what is expected its name."""
        _, _, *expected = self.path
        name = ".".join(map(str, expected[1:]))
        return f"{name}: {self.message}" if name else self.message


def actual_values(
    world: World, present: Present, expect: Expectation, answer: Decision | None
) -> Mapping[str, object]:
    """What is the case. `answer`: of the usage beside it; else it is asked, and nothing counted."""
    segment = present.segment
    actual: dict[str, object] = {
        "status": segment.status.name.lower(),
        "plan": segment.plan,
        "add_ons": {held.add_on: held.quantity for held in segment.add_ons},
    }
    if any(expected.path[0] == "balances" for expected in expect.values):
        actual["balances"] = world.balances()
    if not expect.feature:
        return actual
    decision, usages = answer, {each.id: each for each in company_wide(world, expect.feature)}
    if present.kinds.get(expect.feature) not in _NEVER_CHECKED:
        quantity = expect.quantity if answer is None else 0
        check = Check(
            world.company, expect.feature, quantity, world.now_us, dimensions=expect.dimensions
        )
        asked = world.ask(check)
        decision = answer or asked.decision
        usages |= {usage.id: usage for usage in asked.usages}
    amounts = {
        name: {"amount": _told(limit.amount)}
        for (feature, name), limit in present.limits.items()
        if feature == expect.feature and isinstance(limit, Limit)
    }
    return (
        actual
        | ({} if decision is None else _decided(decision))
        | {
            "value": present.values.get(expect.feature),
            "limits": amounts
            | {
                name: {
                    "amount": _told(usage.amount),
                    "carried": usage.carried,
                    "used": usage.used,
                    "remaining": _told(remaining(usage)),
                    "overage": overage(usage),
                }
                for name, usage in usages.items()
            },
        }
    )


def _decided(decision: Decision) -> dict[str, object]:
    binding = decision.binding
    return {
        "allowed": decision.allowed,
        "reason": decision.reason.name,
        "granted": decision.granted,
        "binding": None if binding is None else binding.id,
        "remaining": None if binding is None else _told(remaining(binding)),
        "burned": {burned.feature: burned.amount for burned in decision.burned},
    }


def unmet_values(step: ScenarioStep, actual: Mapping[str, object]) -> list[Unmet]:
    """What differs from what a step expects."""
    unmet = []
    for expected in () if step.expect is None else step.expect.values:
        found: object = actual
        for name in expected.path:
            found = found.get(name) if isinstance(found, Mapping) else None
        if expected.path[0] == "add_ons":
            found = found or 0
        if found != expected.value:
            message = f"expected {_shown(expected.value)}, is {_shown(found)}"
            unmet.append(Unmet(expected.at, (*step.path, "expect", *expected.path), message))
    return unmet


def _told(number: int | None) -> int | str:
    return "unlimited" if number is None else number


def _shown(value: object) -> str:
    if value is None:
        return "nothing"
    return str(value).lower() if isinstance(value, bool) else str(value)
