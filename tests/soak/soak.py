"""The soak: a world under load in which everything goes wrong, and what has to hold in it."""

from __future__ import annotations

import asyncio
import re
import statistics
from collections import defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.crash.lives import REFUSALS
from tests.soak.faults import Faults
from tests.soak.world import STEADY, Pod, World, world_in
from tests.support.audit import assert_exact
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.ledger import CALLS
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.seeds import seeded

SAMPLE_SECONDS: Final = 0.5
DIFFERING_MAX: Final = 20
"""Samples on end in which readiness and checks may differ: a fault is noticed, or its end."""
GROWTH_BYTES_MAX: Final = 32 << 20
LINES_A_FAULT_MAX: Final = 60
LINES_MAX: Final = 500


@dataclass(slots=True)
class Samples:
    """What was seen meanwhile: memory of daemons, and where readiness and checks differed."""

    resident: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    checks: int = 0
    differing: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    differed_most: int = 0

    def grown_bytes(self, name: str) -> int:
        """By how much the median of the last third is above that of the second."""
        found = self.resident[name]
        third = len(found) // 3
        if not third:
            return 0
        return int(statistics.median(found[-third:]) - statistics.median(found[third : 2 * third]))


async def soak(folder: Path, seconds: float, seed: int) -> str:
    """Play it; a summary. Raises `AssertionError` where something does not hold."""
    rng, books, samples = seeded(seed), Books(refusals=REFUSALS), Samples()
    async with world_in(folder, seed) as world:
        stop, faults = asyncio.Event(), Faults(world, rng)
        async with AsyncExitStack() as stack:
            for number, pod in enumerate(world.pods):
                under_load = load(pod.sidecar, books, seed * 10 + number, callers=2, rest_s=0.1)
                await stack.enter_async_context(under_load)
            async with asyncio.TaskGroup() as group:
                group.create_task(faults.run(stop))
                group.create_task(_sample(world, samples, stop))
                await asyncio.sleep(seconds)
                stop.set()
            for kept in world.kept():
                kept.disk.mend()
            for pod in world.pods:
                await until(_ready(pod), f"{pod.kept.name} is not ready though all is whole")
        await assert_exact(books, world.plane, *(pod.sidecar for pod in world.pods))
        summary = _summary(world, faults, books, samples)
        print(summary)
        _assert_bounded(world, faults, samples)
    return summary


def _ready(pod: Pod) -> Callable[[], Awaitable[bool]]:
    async def is_ready() -> bool:
        return await pod.is_ready() is True

    return is_ready


async def _sample(world: World, samples: Samples, stop: asyncio.Event) -> None:
    while not stop.is_set():
        for kept in world.kept():
            if kept.daemon.runs and (size := _resident_bytes(kept.daemon.pid)):
                samples.resident[kept.name].append(size)
        await asyncio.gather(*(_compare(pod, samples) for pod in world.pods))
        await asyncio.sleep(SAMPLE_SECONDS)


async def _compare(pod: Pod, samples: Samples) -> None:
    """Whether a check is answered exactly where readiness says so, before and after it."""
    name, starts = pod.kept.name, pod.sidecar.starts
    before = await pod.is_ready()
    answered = await _answered(pod)
    after = await pod.is_ready()
    samples.checks += 1
    if before is None or before is not after or pod.sidecar.starts != starts or before is answered:
        samples.differing[name] = 0
        return
    samples.differing[name] += 1
    samples.differed_most = max(samples.differed_most, samples.differing[name])


async def _answered(pod: Pod) -> bool:
    request = pb.CheckAndIncrementRequest(company="nobody", feature=CALLS)
    try:
        await pod.sidecar.api.CheckAndIncrement(
            request, timeout=HANG_SECONDS_MAX, wait_for_ready=False
        )
    except grpc.aio.AioRpcError:
        return False
    return True


def _assert_bounded(world: World, faults: Faults, samples: Samples) -> None:
    assert samples.differed_most <= DIFFERING_MAX, f"readiness differs: {samples.differed_most}"
    for name in (STEADY, "plane"):
        grown = samples.grown_bytes(name)
        assert grown <= GROWTH_BYTES_MAX, f"{name} has grown by {grown >> 20} MiB"
    for kept in world.kept():
        lines = len(kept.daemon.events)
        assert lines <= LINES_MAX + LINES_A_FAULT_MAX * faults.done.total(), f"{kept.name}: {lines}"
        assert [] == kept.daemon.seen("sidecar.background_failed")


def _summary(world: World, faults: Faults, books: Books, samples: Samples) -> str:
    medians = {
        name: f"{int(statistics.median(found)) >> 20} MiB {samples.grown_bytes(name) >> 20:+}"
        for name, found in samples.resident.items()
        if found
    }
    ends = {kept.name: kept.ends for kept in world.kept() if kept.ends}
    lines = {kept.name: len(kept.daemon.events) for kept in world.kept()}
    return "\n".join(
        (
            f"faults: {faults.done.total()}: {dict(faults.done)}",
            f"load: {books.summary()}",
            f"memory, median and growth: {medians}",
            f"ended by itself: {ends or 'none'}; lines of logs: {lines}",
            f"readiness and checks: {samples.checks} pairs, {samples.differed_most} on end differ",
        )
    )


def _resident_bytes(pid: int) -> int:
    try:
        found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0
    return int(found[1]) << 10 if found else 0
