"""Plans of a file, with what each takes over from the one that it extends.

What is granted is taken over, feature by feature: an entitlement of the plan's own takes the place
of the whole entitlement, and `null` takes it away. All else of a plan is its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sidecar.domain.bounds import CATALOG_PARTS_MAX
from sidecar.domain.catalog.model import EntitlementGrant, Plan
from sidecar.domain.catalog.plan_terms import (
    ExistingCompanies,
    Grace,
    Proration,
    Trial,
    UnusedCredits,
)
from sidecar.domain.nearest import did_you_mean, lacks
from sidecar.domain.time.units import DAY_US
from sidecar.shared.catalog_file.fields import (
    Fields,
    entry_of,
    own_text,
    plan_that_follows,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.grants import GrantBuilder
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node, Scalar, Table

_EXISTING: Final = {
    "keep": ExistingCompanies.KEEP,
    "move now": ExistingCompanies.MOVE_NOW,
    "move at period end": ExistingCompanies.MOVE_AT_PERIOD_END,
}
_PRORATION: Final = {
    "full": Proration.FULL,
    "by time": Proration.BY_TIME,
    "none": Proration.NONE,
}
_UNUSED: Final = {
    "keep": UnusedCredits.KEEP,
    "void promotional": UnusedCredits.VOID_PROMOTIONAL,
    "void": UnusedCredits.VOID,
}
_RING_TOLD_MAX: Final = 8


class PlanBuilder:
    """Builds the plans of a file. `nodes`: what it says of each."""

    def __init__(self, fields: Fields, grants: GrantBuilder, nodes: Mapping[str, Node]) -> None:
        self._fields = fields
        self._grants = grants
        self._nodes = nodes
        self._granted: dict[str, dict[str, EntitlementGrant]] = {}
        self._origins: dict[tuple[str, str], str] = {}
        self._has_too_many = False

    def plans(self) -> tuple[Plan, ...]:
        """Build all of them, in the order of the file."""
        for key in self._nodes:
            self._look_up(key)
        return tuple(self._plan(key, node) for key, node in self._nodes.items())

    def written_at(self, path: Path) -> Path:
        """Where the file says what is at a path, which a plan may have taken over."""
        match path:
            case ("plans", str(plan), "entitlements", str(feature), *rest):
                origin = self._origins.get((plan, feature), plan)
                return ("plans", origin, "entitlements", feature, *rest)
        return path

    def _plan(self, key: str, node: Node) -> Plan:
        trial, grace = entry_of(node, "trial"), entry_of(node, "grace")
        return Plan(
            key,
            text_of(node, "name"),
            tuple(self._granted[key].values()),
            existing=_EXISTING[text_of(node, "existing", "move now")],
            trial=None if trial is None else self._trial(("plans", key, "trial"), trial),
            grace=None if grace is None else self._grace(("plans", key, "grace"), grace),
            unused_credits=_UNUSED[text_of(node, "unused_credits", "keep")],
            proration=_PRORATION[text_of(node, "proration", "full")],
        )

    def _trial(self, path: Path, node: Node) -> Trial:
        return Trial(
            self._fields.duration(path, node, "length", DAY_US),
            becomes_active=text_of(node, "then") == "active",
            end_plan=plan_that_follows(node, "then"),
        )

    def _grace(self, path: Path, node: Node) -> Grace:
        length_us = self._fields.duration(path, node, "length", DAY_US)
        return Grace(length_us, plan_that_follows(node, "then"))

    def _look_up(self, key: str) -> None:
        """Work out what a plan grants, after those that it extends."""
        chain: dict[str, str] = {}
        plan = key
        while plan in self._nodes and plan not in self._granted and plan not in chain:
            chain[plan] = own_text(entry_of(self._nodes[plan], "extends"))
            plan = chain[plan]
        if plan in chain:
            names = list(chain)
            ring = _ring([*names[names.index(plan) :], plan])
            message = f"a plan cannot extend itself: {ring}"
            self._fields.note(("plans", names[-1], "extends"), message)
        for plan, parent in reversed(chain.items()):
            self._granted[plan] = self._grants_of(plan, parent)

    def _grants_of(self, plan: str, parent: str) -> dict[str, EntitlementGrant]:
        """What a plan grants by feature: first what it takes over, then what it adds."""
        node, path = self._nodes[plan], ("plans", plan)
        unknown = entry_of(node, "extends") is not None and parent not in self._nodes
        if unknown:
            self._fields.note((*path, "extends"), lacks("plan", parent, self._nodes))
        granted = dict(self._granted.get(parent, {}))
        if granted and len(self._origins) + len(granted) > CATALOG_PARTS_MAX:
            message = f"plans would take over more than {CATALOG_PARTS_MAX} entitlements in all"
            if not self._has_too_many:
                self._fields.note((*path, "extends"), message)
            self._has_too_many = True
            return {}
        own: dict[str, Node] = {}
        for feature, entry in table_of(node, "entitlements").items():
            if not (isinstance(entry, Scalar) and entry.value() is None):
                own[feature] = entry
            elif (granted.pop(feature, None) is None and not unknown) or not entry.text:
                message = _nothing(entry, feature, self._granted.get(parent, {}))
                self._fields.note((*path, "entitlements", feature), message)
        for feature in granted:
            self._origins[plan, feature] = self._origins.get((parent, feature), parent)
        entitlements = Table(node.at, {"entitlements": Table(node.at, own)})
        for grant, _, _ in self._grants.grants(path, entitlements, "entitlements"):
            granted[grant.feature] = grant
            self._origins.pop((plan, grant.feature), None)
        return granted


def _ring(names: list[str]) -> str:
    """Plans that extend each other in a ring, the middle of a long one left out."""
    left_out = len(names) - _RING_TOLD_MAX
    if left_out > 0:
        half = _RING_TOLD_MAX // 2
        names = [*names[:half], f"({left_out} more)", *names[-half:]]
    return " extends ".join(names)


def _nothing(entry: Scalar, feature: str, known: Mapping[str, EntitlementGrant]) -> str:
    """What is wrong with an entitlement that says nothing. `known`: what might be taken away."""
    if not entry.text:
        return "must be a value or a mapping, is empty"
    hint = did_you_mean(feature, known)
    return f"null takes away what an extended plan grants, and none grants {feature!r}{hint}"
