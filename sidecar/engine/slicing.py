"""Drives work in slices: on the event loop, or step by step on the thread that owns the store."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Final, Generic, TypeVar

from sidecar.domain.slices import Slices
from sidecar.engine.runner import Runner

T = TypeVar("T")

SLICE_UNITS: Final = 50
"""Units of work that needs no store, between two looks at the event loop: about a millisecond."""
_SLICE_NS: Final = 1_000_000
"""Where units take longer, there are fewer of them."""


class _Done(Generic[T]):
    __slots__ = ("result",)

    def __init__(self, result: T) -> None:
        self.result = result


async def in_slices(work: Slices[T]) -> T:
    """Do work that touches nothing that others change, on the event loop, and let others go on."""
    while True:
        done = _advance(work, SLICE_UNITS)
        if done is not None:
            return done.result
        await asyncio.sleep(0)


async def in_steps(runner: Runner, work: Slices[T]) -> T:
    """Do work on the store: each unit is a step of its own, and others take theirs in between.

    No unit may leave a step of the store open.
    """
    while True:
        done = await runner.run_alone(partial(_advance, work, 1))
        if done is not None:
            return done.result
        await asyncio.sleep(0)


def _advance(work: Slices[T], units: int) -> _Done[T] | None:
    """Do up to so many units; the result, if that was the last of them."""
    until_ns = time.perf_counter_ns() + _SLICE_NS
    try:
        for _ in range(units):
            next(work)
            if time.perf_counter_ns() > until_ns:
                break  # units differ: a grant may have one limit, or 64
    except StopIteration as end:
        return _Done(end.value)
    return None
