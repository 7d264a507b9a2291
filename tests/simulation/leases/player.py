"""Plays a schedule: does its steps in a world, looks at what must hold after each, and quiesces."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.calls import Call
from tests.simulation.leases.happenings import Happenings
from tests.simulation.leases.invariants import Invariants
from tests.simulation.leases.offers import COMPANIES, OFFERS, USERS
from tests.simulation.leases.probing import probes
from tests.simulation.leases.report import Outcome, outcome_of
from tests.simulation.leases.schedule import AnyStep, Ask, LeaseSchedule
from tests.simulation.leases.world import World

QUIET_US: Final = 30 * SECOND_US
"""How long everything may take to come to rest, once there are no faults any more."""
RETRY_US: Final = 2 * SECOND_US
PROBE_US: Final = SECOND_US


def play(schedule: LeaseSchedule, log: Callable[[str], None] | None = None) -> Outcome:
    """Play a schedule to its end, or to the first thing that must not be."""
    player = _Player(schedule, log)
    try:
        return player.play()
    finally:
        player.world.close()


class _Player:
    def __init__(self, schedule: LeaseSchedule, log: Callable[[str], None] | None) -> None:
        self.world = World(schedule.seed, schedule.starts_us, log)
        self._schedule = schedule
        self._happenings = Happenings(self.world)
        self._invariants = Invariants(self.world)

    def play(self) -> Outcome:
        world, schedule = self.world, self._schedule
        timeline = world.timeline
        for _ in range(schedule.pods):
            world.add_pod().start()
        for step in schedule.steps:
            timeline.at(schedule.starts_us + step.at_us, partial(self._do_noted, step))
        ends_us = schedule.starts_us + schedule.length_us
        is_sound = self._run(ends_us)
        if is_sound:
            self._happenings.heal()
            is_sound = self._run(ends_us + QUIET_US) and self._invariants.at_rest()
        if is_sound and not world.plane.rollbacks:
            self._probe()
        return outcome_of(
            world, schedule.seed, self._invariants.violation, self._invariants.overspent
        )

    def _run(self, until_us: int) -> bool:
        """Go on until an instant; False: something was seen that must not be."""
        timeline, invariants = self.world.timeline, self._invariants
        while timeline.next_step(until_us):
            if not invariants.hold():
                return False
        return True

    def _probe(self) -> None:
        """Ask for what is left of limits, a call after the other."""
        world = self.world
        for probe in probes(world):
            world.on_told = probe.told
            probe.begin()
            is_sound = self._run(world.timeline.now_us + PROBE_US)
            if probe.lacked:
                self._invariants.fail(probe.lacked)
            if probe.lacked or not is_sound:
                return

    def _do_noted(self, step: AnyStep) -> None:
        if isinstance(step, Ask):
            self._call(step)
        else:
            self.world.disturb(f"{type(step).__name__} {msgspec.to_builtins(step)}")
            self._happenings.do(step)

    def _call(self, step: Ask) -> None:
        world, offer = self.world, OFFERS[step.offer]
        call = Call(
            world.new_attempt(),
            COMPANIES[step.company],
            offer.feature,
            step.quantity,
            USERS[step.user] if offer.feature == "exports" else "",
            f"key-{step.key}" if step.key else "",
            GrantMode(step.mode),
            step.late_us,
        )
        self._ask(call, step.pod)
        if step.retried:
            again = msgspec.structs.replace(call, attempt=world.new_attempt())
            self.world.timeline.after(RETRY_US, lambda: self._ask(again, step.pod + 1))

    def _ask(self, call: Call, pod: int) -> None:
        process = self.world.running(pod)
        if process is not None:
            process.live(lambda: process.calls.begin(call))
