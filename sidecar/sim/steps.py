"""The steps of a scenario, built one after the other: each by the catalog in force then."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.domain.company.subscription_changes import (
    NOW,
    PERIOD_END,
    CancelSubscription,
    ChangePlan,
    ChangeTime,
    DropPlannedChanges,
    EndTrial,
    ExtendTrial,
    MarkPaid,
    MarkPastDue,
    OnPlanned,
    PauseSubscription,
    RenewSubscription,
    ResetUsage,
    ResumeSubscription,
    SetAddOn,
    SubscriptionChange,
    When,
)
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.shared.catalog_file.fields import (
    UNLIMITED,
    Fields,
    entry_of,
    flag_of,
    integer_of,
    items_of,
    own_integer,
    own_text,
    table_of,
    text_of,
)
from sidecar.shared.catalog_file.problems import Path
from sidecar.shared.catalog_file.yaml_tree import Node, Scalar, Table
from sidecar.sim.catalogs import CatalogInForce
from sidecar.sim.instants import ScenarioClock
from sidecar.sim.kind_steps import KIND_STEPS
from sidecar.sim.model import (
    Action,
    CatalogStep,
    Expectation,
    Expected,
    ExpectedValue,
    GrantStep,
    LevelStep,
    OverridesStep,
    RevokeStep,
    ScenarioStep,
    SeatStep,
    SubscriptionStep,
    UsageStep,
)
from sidecar.sim.patches import is_empty
from sidecar.sim.step_fields import StepFields

_MODES: Final = {
    "check": GrantMode.ALL_OR_NOTHING,
    "up_to": GrantMode.UP_TO,
    "record": GrantMode.RECORD_ONLY,
}
_ON_PLANNED: Final = {"": OnPlanned.ASK, "keep": OnPlanned.KEEP, "drop": OnPlanned.DROP}
_OF_GRANTS: Final = ("feature", "id")
_ASKED: Final = ("feature", "quantity", "dimensions")
_FLAGS: Final = frozenset({"allowed"})
_TEXTS: Final = frozenset({"status", "plan", "reason", "binding", "value"})
"""Fields of expectations that are not numbers."""
_OF_COMPANIES: Final = frozenset({"status", "plan", "add_ons", "balances"})
_ABOUT_STEPS: Final = ("at", "expect", "refused")


class StepBuilder:
    """Builds steps, in the order of the file. What is wrong goes into the findings of `fields`."""

    def __init__(self, fields: Fields, catalog: CatalogInForce, clock: ScenarioClock) -> None:
        self._fields = fields
        self._catalog = catalog
        self._clock = clock
        self._read = StepFields(fields, catalog, clock)
        self._changes: Mapping[str, Callable[[Path, Node], tuple[SubscriptionChange, str]]] = {
            "change": self._change,
            "add_on": self._add_on,
            "pause": self._pause,
            "resume": self._resume,
            "cancel": lambda _path, _node: (CancelSubscription(), "cancel"),
            "renew": self._renew,
            "extend_trial": self._extend_trial,
            "end_trial": lambda _path, _node: (EndTrial(), "trial ended"),
            "past_due": self._past_due,
            "paid": lambda _path, _node: (MarkPaid(), "paid"),
            "reset_usage": lambda _path, _node: (ResetUsage(), "usage reset"),
            "drop_planned": self._drop_planned,
        }

    def steps(self, nodes: Sequence[Node]) -> tuple[ScenarioStep, ...]:
        """Build all of them. Raises `CatalogFileError` for a catalog that is wrong."""
        return tuple(self._step(("steps", at), node) for at, node in enumerate(nodes))

    def _step(self, path: Path, node: Node) -> ScenarioStep:
        if entry_of(node, "at") is not None:
            at_us = self._read.instant(path, node, "at")
            if at_us < self._read.now_us:
                self._fields.note((*path, "at"), "is before the step above, or the start")
            self._read.now_us = max(self._read.now_us, at_us)
        entries = node.entries if isinstance(node, Table) else {}
        names = [name for name in entries if name not in _ABOUT_STEPS and name[:2] != "x-"]
        if len(names) > 1:
            message = f"stands beside {names[0]}; a step does one thing: write two"
            self._fields.note((*path, names[1]), message, at_key=True)
        action = self._action((*path, names[0]), names[0], entries[names[0]]) if names else None
        expect = entry_of(node, "expect")
        if isinstance(action, UsageStep) and action.every_us and flag_of(node, "refused"):
            message = "stands beside usage that comes again; write a single one"
            self._fields.note((*path, "refused"), message, at_key=True)
        if action is None and expect is None:
            self._fields.note(path, "does nothing, and expects nothing")
        return ScenarioStep(
            self._read.now_us,
            path,
            node.at,
            action,
            None if expect is None else self._expectation((*path, "expect"), expect, action),
            flag_of(node, "refused"),
        )

    def _action(self, path: Path, name: str, node: Node) -> Action | None:
        if name == "usage":
            return self._usage(path, node)
        if name == "catalog":
            self._catalog.change(path, node)
            return CatalogStep(self._catalog.content)
        if name == "overrides":
            return self._overrides(path, node)
        if name == "grant":
            return self._grant(path, node)
        if name == "revoke":
            return RevokeStep(own_text(node))
        if name in KIND_STEPS:
            return KIND_STEPS[name](self._read, path, node)
        change, told = self._changes[name](path, node)
        if isinstance(change, ChangePlan):
            self._catalog.plan = change.plan
        on_planned = _ON_PLANNED[text_of(node, "planned")]
        when, until_us = self._when(path, node), _until_us(change)
        return SubscriptionStep(change, told, when, until_us, on_planned)

    def _when(self, path: Path, node: Node) -> When:
        text = text_of(node, "when", "now")
        if text in ("now", "period-end"):
            return NOW if text == "now" else PERIOD_END
        return When(ChangeTime.AT, self._read.instant(path, node, "when"))

    def _change(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        plan = own_text(node) or text_of(node, "plan")
        change = ChangePlan(
            plan,
            flag_of(node, "reset_usage"),
            flag_of(node, "move_anchor"),
            flag_of(node, "renew"),
        )
        told = f"plan {plan}" + (", renewed" if change.renews else "")
        told += ", usage reset" if change.resets_usage else ""
        return change, told + (", new billing cycle" if change.moves_anchor else "")

    def _add_on(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        key, quantity = text_of(node, "key"), integer_of(node, "quantity", 0)
        told = f"add-on {key} x {quantity}" if quantity else f"no add-on {key}"
        return SetAddOn(key, quantity), told

    def _pause(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        until_us = self._read.later(path, node, "until")
        return PauseSubscription(until_us, flag_of(node, "move_anchor")), "pause"

    def _resume(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        return ResumeSubscription(flag_of(node, "move_anchor")), "resume"

    def _renew(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        until_us = self._read.later(path, node, "until")
        return RenewSubscription(until_us, flag_of(node, "move_anchor")), "renew"

    def _extend_trial(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        return ExtendTrial(self._read.instant(path, node, "until")), "trial"

    def _past_due(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        until_us = self._read.later(path, node, "grace_until")
        return MarkPastDue(until_us), "past due" if until_us is None else "past due, grace"

    def _drop_planned(self, path: Path, node: Node) -> tuple[SubscriptionChange, str]:
        whats = tuple(map(own_text, items_of(node, "what") or ()))
        at_us = self._read.later(path, node, "at")
        return DropPlannedChanges(whats, at_us), "planned changes dropped"

    def _overrides(self, path: Path, node: Node) -> OverridesStep:
        entries = table_of(Table(node.at, {"overrides": node}), "overrides")
        removed = [name for name, entry in entries.items() if is_empty(entry)]
        for name in removed:
            self._read.require_feature((*path, name), name, at_key=True)
        assert isinstance(node, Table)
        wanted = {name: entry for name, entry in entries.items() if name not in removed}
        kept = Table(node.at, wanted, node.keys)
        overrides = self._catalog.overrides(path, kept, self._clock, self._read.now_us)
        return OverridesStep(overrides, tuple(removed))

    def _grant(self, path: Path, node: Node) -> GrantStep | None:
        assert isinstance(node, Table)
        feature = text_of(node, "feature")
        if not self._read.require_feature((*path, "feature"), feature):
            return None
        fields = {name: entry for name, entry in node.entries.items() if name not in _OF_GRANTS}
        holder = Table(node.at, {feature: Table(node.at, fields, node.keys)}, {feature: node.at})
        (override,) = self._catalog.overrides(
            path, holder, self._clock, self._read.now_us, (feature,)
        )
        entitlement = replace(override.entitlement, id=text_of(node, "id"))
        return GrantStep(replace(override, entitlement=entitlement))

    def _usage(self, path: Path, node: Node) -> UsageStep:
        feature, quantity, dimensions = self._question(path, node)
        every_us = self._fields.duration(path, node, "every", None)
        until_us = self._read.later(path, node, "until")
        if until_us is not None and every_us is None:
            self._fields.note((*path, "until"), "needs every", at_key=True)
        elif until_us is not None and until_us <= self._read.now_us:
            self._fields.note((*path, "until"), "must be after at")
        mode = _MODES[text_of(node, "mode", "check")]
        return UsageStep(feature, quantity, dimensions, mode, every_us, until_us or 0)

    def _question(self, path: Path, node: Node) -> tuple[str, int, Mapping[str, str]]:
        feature = self._read.feature(path, node)
        return feature, integer_of(node, "quantity", 1), self._read.dimensions(path, node)

    def _expectation(self, path: Path, node: Node, action: Action | None) -> Expectation:
        values = tuple(self._values(path, node, ()))
        asks = any(entry_of(node, name) is not None for name in _ASKED)
        if isinstance(action, UsageStep):
            if asks:
                self._fields.note(path, "is about the usage beside it; it asks for nothing else")
            elif action.every_us is not None:
                self._fields.note(path, "stands beside usage that comes again; write it as a step")
            return Expectation(values, action.feature, action.quantity, action.dimensions)
        if isinstance(action, SeatStep | LevelStep):
            if asks:
                self._fields.note(path, "is about the step beside it; it asks for nothing else")
            dimensions = action.dimensions if isinstance(action, LevelStep) else NO_ATTRIBUTES
            return Expectation(values, action.feature, 0, dimensions)
        if not asks:
            for value in values:
                if value.path[0] not in _OF_COMPANIES:
                    self._fields.note((*path, *value.path), "needs a feature", at_key=True)
            return Expectation(values)
        return Expectation(values, *self._question(path, node))

    def _values(self, path: Path, node: Node, below: tuple[str, ...]) -> list[ExpectedValue]:
        found = []
        for name, entry in node.entries.items() if isinstance(node, Table) else ():
            if not below and name in _ASKED:
                continue
            if isinstance(entry, Table):
                found += self._values(path, entry, (*below, name))
            else:
                found.append(ExpectedValue((*below, name), _expected(name, entry), entry.at))
        return found


def _expected(name: str, node: Node) -> Expected:
    """What is expected: texts as written, numbers and booleans as what they mean."""
    if name in _FLAGS:
        return isinstance(node, Scalar) and node.value() is True
    text = own_text(node)
    return text if name in _TEXTS or text == UNLIMITED else own_integer(node)


def _until_us(change: SubscriptionChange) -> int | None:
    match change:
        case PauseSubscription() | ExtendTrial():
            return change.until_us
        case MarkPastDue():
            return change.grace_ends_us
        case RenewSubscription():
            return change.ends_us
    return None
