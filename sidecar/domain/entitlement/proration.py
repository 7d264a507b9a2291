"""What a window of recurring credits grants in which the plan changes, as the plan says.

The plane works it out when a timeline is made, and puts it there: as an override of the amount,
from the change until the window ends. So every sidecar knows it ahead, one of before, too.

Rules
- The plan that it is changed to says how. FULL: what it grants, at once, as if it had been there
  from the window's start. NONE: what the window grants stays as it is; the next one is the new
  plan's. BY_TIME: of each plan its part of the window, by microseconds: one that was changed to by
  NONE has had none, the one before it has had its time, too.
- What a change adds is rounded down to a whole micro-credit, what it takes is rounded up: so the
  parts of a window are never more than the whole, several plans in one never more than the one of
  them that grants most, and a plan that grants more never makes it less.
- A plan that does not have the limit grants nothing of it. Limits of two plans are one where their
  windows are the same, since they share the counter.
- It is about what plans grant. What add-ons and overrides add comes on top in full, what replaces a
  plan's amount stands as it is, and whatever starts counters anew starts a whole window.
- What is worked out stays until the window ends, also where a catalog grants something else then.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import msgspec

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US, INT64_MAX
from sidecar.domain.catalog.canonical import canonical_window
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
)
from sidecar.domain.catalog.plan_terms import Proration
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan, Phase, Segment, Span
from sidecar.domain.company.spans import continued
from sidecar.domain.company.timeline import phase_at, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.entitlement.sources import SourceEffect, SourceKind
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import Window, WindowSpec

PRORATION: Final = "proration"
"""Id of the overrides that say it; nobody else's."""

_replace = msgspec.structs.replace


class _Part(msgspec.Struct, frozen=True):
    """What plans grant of a limit in a window, `amount`, until it ends."""

    amount: int
    until_us: int


_Parts = dict[WindowSpec, _Part]


class Prorating:
    """Works it out by a catalog, which is arranged once something has to be."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._rules = {
            plan.key: plan.proration
            for plan in catalog.plans
            if plan.proration is not Proration.FULL
        }
        self._index: CatalogIndex | None = None

    def prorated(self, snapshot: CompanySnapshot, since_us: int | None = None) -> CompanySnapshot:
        """A timeline with what becomes of windows in which the plan changes.

        `since_us`: what is before stays as it is; `None` for a timeline that has just begun.
        """
        is_held = any(span.content.id == PRORATION for span in snapshot.overrides)
        if not self._rules and not is_held:
            return snapshot
        if len(snapshot.phases) == 1 and not is_held:
            return snapshot
        if self._index is None:
            self._index = CatalogIndex(self._catalog, 1)
        spans: list[OverrideSpan] = []
        for feature in _credits_of(self._index, snapshot):
            spans += _Walk(self._index, self._rules, snapshot, feature).spans(since_us)
        if not spans:
            return snapshot
        overrides = continued(snapshot.overrides, spans, FOREVER_US, BEGINNING_US)
        return _replace(snapshot, overrides=overrides)


def prorated_amount(
    rule: Proration, granted: int, before: int, after: int, window: Window, at_us: int
) -> int:
    """What plans grant in a window, once the plan changes at an instant of it. In micro-credits.

    `granted`: what they did so far. `before`, `after`: what the plans by which that was, and that
    follow, grant in a whole window.
    """
    if rule is Proration.NONE:
        return granted
    if rule is Proration.FULL:
        return after
    rest_us, length_us = window.end_us - at_us, window.end_us - window.start_us
    return max(0, granted + (after - before) * rest_us // length_us)


class _Walk:
    """Goes through the changes of a company's plan, for one feature of credits."""

    def __init__(
        self,
        index: CatalogIndex,
        rules: Mapping[str, Proration],
        snapshot: CompanySnapshot,
        feature: Feature,
    ) -> None:
        self._index, self._rules = index, rules
        self._snapshot, self._feature = snapshot, feature

    def spans(self, since_us: int | None) -> Iterator[OverrideSpan]:
        """The overrides that it takes, from an instant on."""
        at_us = BEGINNING_US if since_us is None else since_us
        parts: _Parts = {} if since_us is None else self._held(since_us - 1)
        while at_us < FOREVER_US:
            parts = self._changed(parts, at_us)
            until_us = self._phase(at_us).until_us
            if parts:
                segment = segment_at(self._snapshot, at_us)
                ends = [part.until_us for part in parts.values()]
                until_us = min(until_us, segment.until_us, *ends)
                changes = tuple(self._changes(segment, parts))
                if changes:
                    key = self._feature.key
                    grant = EntitlementGrant(key, limit_changes=changes, id=PRORATION)
                    yield Span(grant, at_us, until_us)
            at_us = until_us

    def _changed(self, parts: _Parts, at_us: int) -> _Parts:
        """The parts from an instant on, at which the plan may change."""
        if at_us == BEGINNING_US:
            return {}
        before, after = self._phase(at_us - 1), self._phase(at_us)
        parts = {
            spec: part
            for spec, part in parts.items()
            if part.until_us > at_us and generation_of(before, spec) == generation_of(after, spec)
        }
        if (before.plan, before.plan_version) == (after.plan, after.plan_version):
            return parts
        rule = self._rules.get(after.plan, Proration.FULL)
        if rule is Proration.FULL:
            return {}
        old, new = _amounts(self._of_plan(before)), _amounts(self._of_plan(after))
        changed: _Parts = {}
        for spec in {**old, **new, **parts}:
            window = company_window(self._snapshot.phases, spec, at_us)
            is_whole = window.never_ends or window.start_us >= at_us
            if is_whole or generation_of(before, spec) != generation_of(after, spec):
                continue
            granted = parts[spec].amount if spec in parts else old.get(spec, 0)
            giving = _amounts(self._of_plan(self._giving(before, spec, window)))
            was, becomes = giving.get(spec, 0), new.get(spec, 0)
            amount = prorated_amount(rule, granted, was, becomes, window, at_us)
            if amount != becomes:
                changed[spec] = _Part(amount, window.end_us)
        return changed

    def _giving(self, phase: Phase, spec: WindowSpec, window: Window) -> Phase:
        """Where the plan was changed to by whose amount a window grants until a phase's end."""
        while phase.from_us > window.start_us:
            before = self._phase(phase.from_us - 1)
            is_changed = (before.plan, before.plan_version) != (phase.plan, phase.plan_version)
            rule = self._rules.get(phase.plan, Proration.FULL)
            if generation_of(before, spec) != generation_of(phase, spec):
                return phase
            if is_changed and rule is not Proration.NONE:
                return phase
            phase = before
        return phase

    def _held(self, at_us: int) -> _Parts:
        """The parts that a timeline has at an instant."""
        segment = segment_at(self._snapshot, at_us)
        found = {
            change.limit: change
            for each in self._own(segment)
            if each.id == PRORATION
            for change in each.limit_changes
        }
        if not found:
            return {}
        of_plan = _amounts(self._of_plan(segment))
        parts: _Parts = {}
        for limit in self._without_overrides(segment):
            spec, change = canonical_window(limit.window), found.get(limit.id)
            if change is None or change.amount is None:
                continue
            on_top = (limit.amount or 0) - of_plan.get(spec, 0)
            window = company_window(self._snapshot.phases, spec, at_us)
            parts[spec] = _Part(max(0, change.amount - on_top), window.end_us)
        return parts

    def _changes(self, segment: Segment, parts: _Parts) -> Iterator[LimitChange]:
        """What parts make of what is granted in a segment; nothing of what is the company's own."""
        own = [each for each in self._own(segment) if each.id != PRORATION]
        if any(not each.is_change for each in own):
            return
        is_set = {change.limit for each in own for change in each.limit_changes if not change.adds}
        of_plan = _amounts(self._of_plan(segment))
        for limit in self._without_overrides(segment):
            part = parts.get(canonical_window(limit.window))
            if part is None or limit.amount is None or limit.id in is_set:
                continue
            on_top = limit.amount - of_plan.get(canonical_window(limit.window), 0)
            amount = min(INT64_MAX, max(0, on_top + part.amount))
            if amount != limit.amount:
                yield LimitChange(limit.id, amount)

    def _without_overrides(self, segment: Segment) -> tuple[Limit, ...]:
        """What plan and add-ons grant; nothing where an add-on takes the plan's place."""
        sources = list(self._index.sources(_replace(segment, overrides=()), self._feature))
        if any(
            each.kind is SourceKind.ADD_ON and each.effect is SourceEffect.REPLACED
            for each in sources
        ):
            return ()
        result = sources[-1].result
        return () if result is None else result.limits

    def _of_plan(self, phase: Phase) -> tuple[Limit, ...]:
        grants = self._index.plan_grants(phase.plan, phase.plan_version)
        grant = grants.get(self._feature.key)
        return () if grant is None else grant.limits

    def _own(self, segment: Segment) -> list[EntitlementGrant]:
        return [each for each in segment.overrides if each.feature == self._feature.key]

    def _phase(self, at_us: int) -> Phase:
        return phase_at(self._snapshot, at_us)


def _credits_of(index: CatalogIndex, snapshot: CompanySnapshot) -> list[Feature]:
    """The features of credits that a plan of a timeline grants."""
    plans = {(phase.plan, phase.plan_version) for phase in snapshot.phases}
    granted = {key for plan in plans for key in index.plan_grants(*plan)}
    found = [index.features[key] for key in sorted(granted) if key in index.features]
    return [each for each in found if each.kind is FeatureKind.CREDITS]


def _amounts(limits: tuple[Limit, ...]) -> dict[WindowSpec, int]:
    """What limits grant in a window, by how it is laid out."""
    return {canonical_window(limit.window): limit.amount or 0 for limit in limits}
