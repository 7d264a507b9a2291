"""A flush ends once the plane has all that was accepted before it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from sidecar.api.sync.v1 import sync_pb2
from sidecar.storage.outbox import Outbox
from tests.support.bounded import Bench, bench_of
from tests.support.bounds import HANG_SECONDS_MAX

RECORDS = 1_200
COMMON = 500


async def flushed(bench: Bench) -> int:
    """Records that the plane has when a flush has ended."""
    assert bench.container.pusher is not None
    assert await bench.container.pusher.flush(600)
    return sum(map(len, bench.plane.records.values()))


@pytest.mark.parametrize("steps_before", range(8))
async def test_a_flush_that_begins_while_a_fenced_incarnation_is_left_waits_for_all_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, steps_before: int
) -> None:
    """Its records are on their way to the present one, step by step."""
    begin, move = Outbox.begin_incarnation, Outbox.move_fenced
    reached, steps = asyncio.Event(), 0

    def step() -> None:
        nonlocal steps
        if steps == steps_before:
            reached.set()
        steps += 1

    def begin_incarnation(outbox: Outbox, *arguments: str | int) -> bool:
        step()
        return begin(outbox, *arguments)  # type: ignore[arg-type]

    def move_fenced(outbox: Outbox) -> bool:
        step()
        return move(outbox)

    monkeypatch.setattr(Outbox, "begin_incarnation", begin_incarnation)
    monkeypatch.setattr(Outbox, "move_fenced", move_fenced)
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.fill_outbox(RECORDS)
        bench.plane.common[bench.container.store.incarnation.id] = COMMON
        assert bench.container.pusher is not None
        async with bench.running(bench.container.pusher.run()):
            await reached.wait()
            assert RECORDS - COMMON == await flushed(bench)
        assert 0 == bench.container.store.waiting_records()
    assert steps > steps_before


async def test_a_flush_does_not_wait_for_what_is_accepted_after_it_began(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.fill_outbox(RECORDS)
        assert bench.container.pusher is not None
        flush = asyncio.create_task(flushed(bench))
        await asyncio.sleep(0)
        bench.fill_outbox(10)
        async with bench.running(bench.container.pusher.run()):
            assert RECORDS <= await flush


class PlaneInTrouble:
    """Takes the first pushes, then fails until it is mended."""

    def __init__(self, bench: Bench, pushes_taken: int) -> None:
        self.mended = False
        self.failures = 0
        self._left = pushes_taken
        self._push = bench.plane.PushUsage
        bench.plane.PushUsage = self.push  # type: ignore[method-assign]

    async def push(self, request: sync_pb2.PushUsageRequest, **fields: Any) -> bytes:
        if self._left == 0 and not self.mended:
            self.failures += 1
            raise ConnectionError("the plane is in trouble")
        self._left -= 1
        return await self._push(request, **fields)


@pytest.mark.parametrize("pushes_taken", [0, 1])
async def test_at_a_stop_a_flush_ends_once_the_plane_takes_no_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, pushes_taken: int
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.fill_outbox(RECORDS)
        plane = PlaneInTrouble(bench, pushes_taken)
        pusher = bench.container.pusher
        assert pusher is not None
        async with bench.running(pusher.run()):
            assert not await pusher.flush(HANG_SECONDS_MAX, while_plane_takes=True)
        assert 1 == plane.failures
        assert 0 < bench.container.store.waiting_records() <= RECORDS


async def test_a_flush_that_was_asked_for_waits_until_the_plane_is_mended(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async with bench_of(monkeypatch, tmp_path) as bench:
        bench.fill_outbox(RECORDS)
        plane = PlaneInTrouble(bench, 1)
        pusher = bench.container.pusher
        assert pusher is not None
        async with bench.running(pusher.run()):
            assert not await pusher.flush(HANG_SECONDS_MAX, while_plane_takes=True)
            flushing = asyncio.create_task(flushed(bench))
            await asyncio.sleep(0)
            plane.mended = True
            assert RECORDS == await flushing
