"""Plays a schedule, whatever its steps are: looks at what must hold after each, and quiesces."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Generic, Protocol

import msgspec

from sidecar.domain.time.units import SECOND_US
from tests.simulation.leases.calls import Call, Told
from tests.simulation.leases.invariants import Invariants
from tests.simulation.leases.schedule import Ask, S, Schedule
from tests.simulation.leases.world import World

QUIET_US: Final = 30 * SECOND_US
"""How long everything may take to come to rest, once there are no faults any more."""
RETRY_US: Final = 2 * SECOND_US
PROBE_US: Final = SECOND_US


class Question(Protocol):
    """A call at rest. `lacked`: what was not answered as it must be; empty for nothing."""

    lacked: str

    def begin(self) -> None:
        """Ask."""

    def told(self, told: Told) -> None:
        """The answer."""


class Playing(Generic[S]):
    """One run. `heal` ends all faults, and `do` has a step happen."""

    def __init__(
        self,
        world: World,
        schedule: Schedule[S],
        invariants: Invariants,
        heal: Callable[[], None],
        do: Callable[[S], None],
    ) -> None:
        self._world = world
        self._schedule = schedule
        self._invariants = invariants
        self._heal = heal
        self._do = do

    def play(self, questions: Callable[[World], Iterator[Question]]) -> None:
        """Play to the end, or to the first thing that must not be.

        `questions`: of those that are asked once all is at rest, the next is made once the one
        before was answered.
        """
        world, schedule = self._world, self._schedule
        for _ in range(schedule.pods):
            world.add_pod().start()
        for step in schedule.steps:
            world.timeline.at(schedule.starts_us + step.at_us, partial(self._do_noted, step))
        ends_us = schedule.starts_us + schedule.length_us
        is_sound = self._run(ends_us)
        if is_sound:
            self._heal()
            is_sound = self._run(ends_us + QUIET_US) and self._invariants.at_rest()
        if is_sound and not world.plane.rollbacks:
            self._ask_all(questions(world))

    def ask(self, call: Call, pod: int, *, retried: bool) -> None:
        """Have an application call, and perhaps call again elsewhere."""
        self._ask(call, pod)
        if retried:
            again = msgspec.structs.replace(call, attempt=self._world.new_attempt())
            self._world.timeline.after(RETRY_US, lambda: self._ask(again, pod + 1))

    def _ask(self, call: Call, pod: int) -> None:
        process = self._world.running(pod)
        if process is not None:
            process.live(lambda: process.calls.begin(call))

    def _run(self, until_us: int) -> bool:
        """Go on until an instant; False: something was seen that must not be."""
        timeline, invariants = self._world.timeline, self._invariants
        while timeline.next_step(until_us):
            if not invariants.hold():
                return False
        return True

    def _ask_all(self, questions: Iterator[Question]) -> None:
        """Ask for what is left, a call after the other."""
        world = self._world
        for question in questions:
            world.on_told = question.told
            question.begin()
            is_sound = self._run(world.timeline.now_us + PROBE_US)
            if question.lacked:
                self._invariants.fail(question.lacked)
            if question.lacked or not is_sound:
                return

    def _do_noted(self, step: S) -> None:
        if not isinstance(step, Ask):
            self._world.disturb(f"{type(step).__name__} {msgspec.to_builtins(step)}")
        self._do(step)
