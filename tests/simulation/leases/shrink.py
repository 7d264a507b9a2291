"""Cuts a schedule down to steps without which it shows nothing wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tests.simulation.leases.schedule import S, Schedule

PLAYS_MAX: Final = 600


def shrunk(
    schedule: Schedule[S], is_broken: Callable[[Schedule[S]], bool], plays_max: int = PLAYS_MAX
) -> Schedule[S]:
    """A schedule that is broken still, without steps that can go: large parts of them first."""
    steps = schedule.steps
    plays = 0
    size = max(1, len(steps) // 2)
    while size and plays < plays_max:
        at, removed = 0, False
        while at < len(steps) and plays < plays_max:
            fewer: tuple[S, ...] = steps[:at] + steps[at + size :]
            plays += 1
            if is_broken(schedule.with_steps(fewer)):
                steps, removed = fewer, True
            else:
                at += size
        if size > 1 or not removed:
            size //= 2
    return schedule.with_steps(steps)
