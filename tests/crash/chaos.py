"""Kills at random moments."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from tests.support.processes import Daemon, Event, until

SMALL_PUSHES = {"push_linger_ms": 2, "push_records_max": 40}
"""Options of a sidecar: many small exchanges with the plane, so that kills hit every stage."""


async def _nothing() -> None:
    """What is waited for while a daemon is dead: nothing."""


async def kill_again_and_again(
    daemon: Daemon,
    rng: random.Random,
    kills: int,
    progress: Callable[[], int],
    steps_max: int,
    meanwhile: Callable[[], Awaitable[None]] = _nothing,
) -> None:
    """Kill so many times and once more, and start again each time, also the last.

    Most kills come after up to `steps_max` steps of progress, every fourth while the daemon starts.
    It must be running. `meanwhile`: what has to come about while it is dead.
    """
    for _ in range(kills):
        await daemon.kill()
        await meanwhile()
        if rng.random() < 0.25:
            await daemon.spawn()
            # The moment of the kill is the point here; nothing is waited for.
            await asyncio.sleep(rng.uniform(0.1, 0.8))
            continue
        await daemon.start()
        goal = progress() + rng.randint(1, steps_max)

        async def reached(goal: int = goal) -> bool:
            return progress() >= goal

        await until(reached, f"no progress while {daemon.name} runs")
    await daemon.kill()
    await daemon.start()


def errors_but_of_kills(sidecar: Daemon) -> list[Event]:
    """What was logged as an error, but for what kills during several starts in a row explain."""
    return [event for event in sidecar.errors() if event["event"] != "store.not_looked_through"]
