"""A flush ends once the plane has all that was accepted before it, whatever happens meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from sidecar.storage.outbox import Outbox
from tests.support.bounded import Bench, bench_of

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
