"""Plays a schedule of calls about seats and levels, and looks at what must hold after each step."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from sidecar.domain.time.units import SECOND_US
from tests.simulation.kinds.applications import Applications
from tests.simulation.kinds.invariants import KindInvariants
from tests.simulation.kinds.probing import probes
from tests.simulation.kinds.schedule import (
    Acquire,
    KindSchedule,
    KindStep,
    ListHolders,
    Release,
    Tune,
    Use,
)
from tests.simulation.kinds.world import KindWorld
from tests.simulation.leases.happenings import Happenings
from tests.simulation.leases.report import Outcome

QUIET_US: Final = 20 * SECOND_US
"""How long everything may take to come to rest: longer than any item lives."""

PROBE_US: Final = SECOND_US
_ALLOWED: Final = ("ALLOWED", "REPLAYED", "RELEASED")
_DENIED: Final = ("SEATS_EXHAUSTED", "LIMIT_EXCEEDED", "LEASE_UNAVAILABLE")


def play(schedule: KindSchedule, log: Callable[[str], None] | None = None) -> Outcome:
    """Play a schedule to its end, or to the first thing that must not be."""
    world = KindWorld(schedule.seed, schedule.starts_us, log)
    try:
        return _Player(world, schedule).play()
    finally:
        world.close()


class _Player:
    def __init__(self, world: KindWorld, schedule: KindSchedule) -> None:
        self._world = world
        self._schedule = schedule
        self._happenings = Happenings(world)
        self._applications = Applications(world)
        self._invariants = KindInvariants(world)

    def play(self) -> Outcome:
        world, schedule = self._world, self._schedule
        for _ in range(schedule.pods):
            world.add_pod().start()
        for step in schedule.steps:
            world.timeline.at(schedule.starts_us + step.at_us, partial(self._do, step))
        ends_us = schedule.starts_us + schedule.length_us
        if self._run(ends_us):
            self._happenings.heal()
            if self._run(ends_us + QUIET_US) and self._invariants.at_rest():
                self._probe()
        return self._outcome()

    def _outcome(self) -> Outcome:
        world, answers = self._world, self._world.answers
        return Outcome(
            self._schedule.seed,
            world.timeline.steps,
            self._invariants.violation,
            calls=answers.total(),
            allowed=sum(answers[reason] for reason in _ALLOWED),
            waited=world.asked,
            denied=sum(answers[reason] for reason in _DENIED),
        )

    def _run(self, until_us: int) -> bool:
        """Go on until an instant; False: something was seen that must not be."""
        while self._world.timeline.next_step(until_us):
            if not self._invariants.hold():
                return False
        return True

    def _probe(self) -> None:
        """Ask for what is free, a call after the other."""
        world = self._world
        for what, ask, expected in () if world.plane.rollbacks else probes(world):
            before = world.answers.copy()
            ask()
            if not self._run(world.timeline.now_us + PROBE_US):
                return
            told = world.answers - before
            if set(told) != {expected}:
                self._invariants.fail(f"{what}: {dict(told)}, and not {expected}")
                return

    def _do(self, step: KindStep) -> None:
        if isinstance(step, Acquire | Release | ListHolders | Use | Tune):
            self._applications.do(step)
        else:
            self._world.disturb(f"{type(step).__name__} {msgspec.to_builtins(step)}")
            self._happenings.do(step)
