"""Work in slices: what comes of it, who goes on in between, and where it runs."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from itertools import pairwise

import pytest

from sidecar.domain.errors import Exhausted
from sidecar.domain.slices import Slices, pages, whole
from sidecar.engine.runner import GroupCommitRunner, InlineRunner, Runner
from sidecar.engine.slicing import SLICE_UNITS, in_slices, in_steps
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.opening import open_store


class Job:
    """Some units of work; `done` is how many were, `threads` where."""

    def __init__(self, units: int, fails_after: int | None = None) -> None:
        self.done = 0
        self.threads: set[int] = set()
        self._units = units
        self._fails_after = fails_after

    def work(self) -> Slices[str]:
        for unit in range(self._units):
            if unit == self._fails_after:
                raise Exhausted("", "no room", "STORE_FULL")
            self.done += 1
            self.threads.add(threading.get_ident())
            yield
        return "result"


class Others:
    """Others who use the event loop: `saw` is what was done each time that it was their turn."""

    def __init__(self, job: Job) -> None:
        self.saw: list[int] = []
        self._job = job
        self._loop = asyncio.get_running_loop()
        self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        self.saw.append(self._job.done)
        if len(self.saw) < 1_000:
            self._loop.call_soon(self._turn)

    def steps(self) -> list[int]:
        """How much was done from one turn to the next, without turns in which nothing was."""
        turns = [0, *self.saw, self._job.done]
        return [later - turn for turn, later in pairwise(turns) if later > turn]


@pytest.fixture(params=["inline", "group"])
async def runner(request: pytest.FixtureRequest) -> AsyncIterator[Runner]:
    store = open_store(MemoryEngine(), new_incarnation=lambda: "life-1")
    runner: Runner = InlineRunner(store)
    if request.param == "group":
        runner = GroupCommitRunner(store)
    yield runner
    await runner.close()


@pytest.mark.parametrize("units", [0, 1, 5])
def test_all_of_it_at_once(units: int) -> None:
    job = Job(units)
    assert ("result", units) == (whole(job.work()), job.done)


@pytest.mark.parametrize("units", [0, 1, SLICE_UNITS, 3 * SLICE_UNITS + 1])
async def test_on_the_loop_others_go_on_after_each_slice(units: int) -> None:
    job = Job(units)
    others = Others(job)
    assert "result" == await in_slices(job.work())
    expected = [SLICE_UNITS] * (units // SLICE_UNITS)
    expected += [units % SLICE_UNITS] if units % SLICE_UNITS else []
    assert expected == others.steps()


async def test_on_the_store_others_go_on_after_each_step(runner: Runner) -> None:
    job = Job(5)
    others = Others(job)
    assert "result" == await in_steps(runner, job.work())
    assert sum(others.steps()) == 5
    on_loop = threading.get_ident() in job.threads
    assert (1, isinstance(runner, InlineRunner)) == (len(job.threads), on_loop)
    if on_loop:
        assert [1] * 5 == others.steps()


async def test_what_it_raises_is_raised_where_it_is_awaited(runner: Runner) -> None:
    job = Job(5, fails_after=3)
    with pytest.raises(Exhausted, match="no room"):
        await in_steps(runner, job.work())
    assert 3 == job.done
    with pytest.raises(Exhausted, match="no room"):
        await in_slices(Job(5, fails_after=3).work())


async def test_nothing_more_is_done_for_one_who_went_away(runner: Runner) -> None:
    job = Job(1_000_000)
    task = asyncio.create_task(in_steps(runner, job.work()))
    while not job.done:  # noqa: ASYNC110 - nothing tells of it
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await runner.run_alone(lambda: None)
    done = job.done
    await runner.run_alone(lambda: None)
    assert done == job.done < 1_000_000


@pytest.mark.parametrize(
    ("items", "expected"),
    [((), []), ((1,), [(1,)]), ((1, 2), [(1, 2)]), ((1, 2, 3), [(1, 2), (3,)])],
)
def test_pages_have_all_items_in_order(
    items: tuple[int, ...], expected: list[tuple[int, ...]]
) -> None:
    assert expected == list(pages(items, 2))
