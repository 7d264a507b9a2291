"""Plays a scenario: from instant to instant at which something happens, and nothing in between."""

from __future__ import annotations

import heapq
from typing import NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from sidecar.control.services.subscriptions import ChangedSubscription
from sidecar.domain.company.planned import planned_text
from sidecar.domain.company.subscription_changes import ChangeTime
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.decision import Decision
from sidecar.domain.limits.requests import Check
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.zones import instant_of_wall, load_zone, wall_of_instant
from sidecar.sim.billing import BilledPeriod, PeriodBook
from sidecar.sim.decisions import DecisionTeller
from sidecar.sim.differences import Differences
from sidecar.sim.expectations import Unmet, actual_values, unmet_values
from sidecar.sim.kind_play import KindPlayer
from sidecar.sim.model import (
    Action,
    CatalogStep,
    Expectation,
    GrantStep,
    KindStep,
    LevelStep,
    OverridesStep,
    RevokeStep,
    Scenario,
    ScenarioStep,
    SeatStep,
    SubscriptionStep,
    UsageStep,
)
from sidecar.sim.present import Present, present_of
from sidecar.sim.told import (
    PlayEvent,
    PlayLog,
    held_text,
    moment_text,
    status_text,
    step_text,
)
from sidecar.sim.world import World


class Played(msgspec.Struct, frozen=True):
    """What came of a scenario. `left_out`: events that were not kept; `expected`: how many."""

    scenario: Scenario
    events: list[PlayEvent]
    left_out: int
    periods: list[BilledPeriod]
    expected: int
    unmet: list[Unmet]
    checks: int


class _Coming(NamedTuple):
    """Usage that comes at an instant; `number` is its step's, `times` how often it has come."""

    at_us: int
    number: int
    times: int
    usage: UsageStep


def play(scenario: Scenario, *, everything: bool = False) -> Played:
    """Play a scenario. `everything`: tell each decision and each window.

    Raises `FieldError` where the rules refuse what it begins with.
    """
    world = World(scenario.starts_us)
    try:
        return _Player(world, scenario, everything).played()
    finally:
        world.close()


class _Player:
    """One play. `_present`: what held when it was looked at last; usage may have grown since."""

    def __init__(self, world: World, scenario: Scenario, everything: bool) -> None:
        self._world = world
        self._scenario = scenario
        self._log = PlayLog()
        self._zone = load_zone(scenario.company.time_zone)
        world.company = scenario.company.id
        world.apply(scenario.catalog, scenario.company)
        self._present = present_of(world)
        self._periods = PeriodBook(self._present, world.sums, world.kind_sums)
        self._differences = Differences(
            self._log, self._periods, self._zone, all_windows=everything
        )
        self._kinds = KindPlayer(world, self._log, self._periods, self._zone)
        self._decisions = DecisionTeller(self._log, self._zone, each=everything)
        self._coming: list[_Coming] = []
        self._unmet: list[Unmet] = []
        self._expected = self._checks = 0
        self._due_us: int | None = None

    def played(self) -> Played:
        self._tell_start()
        self._look_ahead()
        steps = iter(self._scenario.steps)
        step = next(steps, None)
        while (at_us := self._next_us(step)) <= self._scenario.ends_us:
            self._go_to(at_us)
            while step is not None and step.at_us == at_us:
                self._take(step)
                step = next(steps, None)
            while self._coming and self._coming[0].at_us == at_us:
                self._use_again(heapq.heappop(self._coming))
        self._go_to(self._scenario.ends_us)
        self._differences.tell_open(self._present_now())
        self._periods.close(self._scenario.ends_us)
        return Played(
            self._scenario,
            self._log.events,
            self._log.left_out,
            self._periods.periods,
            self._expected,
            self._unmet,
            self._checks,
        )

    def _next_us(self, step: ScenarioStep | None) -> int:
        """The next instant at which anything happens."""
        instants = [self._present.next_edge_us()]
        if self._due_us is not None:
            instants.append(self._due_us)
        if step is not None:
            instants.append(step.at_us)
        if self._coming:
            instants.append(self._coming[0].at_us)
        return min(instants)

    def _go_to(self, at_us: int) -> None:
        """Move the clock; on the way the plane does what is due, and what changes is told."""
        world = self._world
        if at_us <= world.now_us:
            return
        edge = at_us >= self._present.next_edge_us()
        if edge and at_us - 1 > world.now_us:
            world.now_us = at_us - 1
            self._present = self._present_now()
        world.now_us = at_us
        if edge or (self._due_us is not None and self._due_us <= at_us):
            world.settle()
            if edge:
                self._tell_differences()
            self._kinds.tell_due()
            self._look_ahead()

    def _present_now(self) -> Present:
        return present_of(self._world)

    def _tell_differences(self) -> None:
        before, self._present = self._present, self._present_now()
        self._differences.tell(before, self._present)
        if (before.segment, before.period) != (self._present.segment, self._present.period):
            self._decisions.begin_anew()

    def _look_ahead(self) -> None:
        self._due_us = self._world.next_due(self._scenario.ends_us)

    def _tell_start(self) -> None:
        present = self._present
        segment = present.segment
        told = f"{status_text(segment)}, {held_text(segment.plan, segment.add_ons)}"
        if present.period is not None:
            told += f"; billing period until {moment_text(self._zone, present.period.end_us)}"
        self._log.tell(present.at_us, "starts", told, status=segment.status.name, plan=segment.plan)

    def _take(self, step: ScenarioStep) -> None:
        """Let a step happen, and look whether what it expects is so."""
        answer, refused = None, False
        try:
            answer = self._do(step)
        except FieldError as error:
            self._note_refused(step, error)
            refused = True
        if step.expect is not None and not (refused and isinstance(step.action, UsageStep)):
            try:
                self._compare(step, step.expect, answer)
            except FieldError as error:
                self._note_refused(step, error)
                refused = True
        if step.refused and not refused:
            self._unmet.append(Unmet(step.at, step.path, "was to be refused, and is not"))
        self._expected += step.refused

    def _compare(self, step: ScenarioStep, expect: Expectation, answer: Decision | None) -> None:
        actual = actual_values(self._world, self._present_now(), expect, answer)
        unmet = unmet_values(step, actual)
        self._expected += len(expect.values)
        self._unmet += unmet
        for each in unmet:
            self._log.tell(step.at_us, "not met", each.text)

    def _do(self, step: ScenarioStep) -> Decision | None:
        action = step.action
        if action is None:
            return None
        if isinstance(action, UsageStep):
            if action.every_us is None:
                return self._use(action)
            if action.until_us > step.at_us:
                heapq.heappush(self._coming, _Coming(step.at_us, int(step.path[1]), 0, action))
            return None
        self._present = self._present_now()
        decision = self._change(action)
        self._tell_differences()
        self._kinds.tell_due()
        if isinstance(action, SeatStep | LevelStep):
            self._checks += 1
        else:
            self._decisions.begin_anew()
        self._look_ahead()
        return decision

    def _change(self, action: Action) -> Decision | None:
        """Let happen what changes what may be done, or what is in use; what was decided, if so."""
        world, log = self._world, self._log
        now_us = world.now_us
        if isinstance(action, KindStep):
            return self._kinds.take(action)
        if isinstance(action, SubscriptionStep):
            self._tell_change(action, world.change(action))
        elif isinstance(action, CatalogStep):
            world.apply(action.catalog)
            log.tell(now_us, "catalog", "another catalog is applied")
        elif isinstance(action, GrantStep):
            id_ = world.grant(action.override)
            feature = action.override.entitlement.feature
            log.tell(now_us, "grant", f"{id_}, of {feature}", id=id_, feature=feature)
        elif isinstance(action, RevokeStep):
            world.revoke(action.id)
            log.tell(now_us, "revoke", action.id, id=action.id)
        elif isinstance(action, OverridesStep):
            self._override(action)
            names = [given.entitlement.feature for given in action.overrides]
            told = [f"own entitlement to {name}" for name in names]
            told += [f"no own entitlement to {name}" for name in action.removed]
            log.tell(now_us, "override", ", ".join(told))
        return None

    def _override(self, action: OverridesStep) -> None:
        company = self._world.stored().company
        named = {given.entitlement.feature for given in action.overrides} | {*action.removed}
        kept = [given for given in company.overrides if given.entitlement.feature not in named]
        overrides = (*kept, *action.overrides)
        self._world.apply(None, msgspec.structs.replace(company, overrides=overrides))

    def _tell_change(self, action: SubscriptionStep, done: ChangedSubscription) -> None:
        told = action.told
        if action.until_us is not None:
            told += f" until {moment_text(self._zone, action.until_us)}"
        if action.when.time is not ChangeTime.NOW:
            told += f"; takes effect {moment_text(self._zone, done.effective_us)}"
        for verb, planned in (("keeps", done.kept), ("drops", done.dropped)):
            for each in planned:
                told += f"; {verb} {each.what} at {moment_text(self._zone, each.at_us)}"
        told += "; nothing was changed, it is so already" if done.unchanged else ""
        self._log.tell(
            self._world.now_us,
            "change",
            told,
            change=action.told,
            effective_us=done.effective_us,
            kept=[planned_text(each) for each in done.kept],
            dropped=[planned_text(each) for each in done.dropped],
            unchanged=done.unchanged,
        )

    def _use_again(self, coming: _Coming) -> None:
        every_us = coming.usage.every_us
        assert every_us is not None
        step = self._scenario.steps[coming.number]
        try:
            self._use(coming.usage)
        except FieldError as error:
            self._note_refused(step, error)  # as it would be each time
            return
        times = coming.times + 1
        next_us = _later(self._zone, step.at_us, every_us, times)
        if next_us < coming.usage.until_us:
            heapq.heappush(self._coming, coming._replace(at_us=next_us, times=times))

    def _note_refused(self, step: ScenarioStep, error: FieldError) -> None:
        text = f"{step_text(step)}: {error.message}"
        self._log.tell(self._world.now_us, "refused", text, step=step.path[1], reason=error.reason)
        if not step.refused:
            self._unmet.append(Unmet(step.at, step.path, f"refused: {error.message}"))

    def _use(self, usage: UsageStep) -> Decision:
        self._checks += 1
        check = Check(
            self._world.company,
            usage.feature,
            usage.quantity,
            self._world.now_us,
            usage.mode,
            dimensions=usage.dimensions,
        )
        decision = self._world.use(check)
        if not decision.allowed:
            self._periods.note_denied(usage.feature)
        self._decisions.tell(check, decision)
        return decision


def _later(zone: ZoneInfo, at_us: int, every_us: int, times: int) -> int:
    """An instant so many times later: days are those of the calendar, at the same time of day."""
    if every_us % DAY_US:
        return at_us + times * every_us
    return instant_of_wall(zone, wall_of_instant(zone, at_us) + times * every_us)
