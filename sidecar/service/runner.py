"""Runners: where steps on the store run, and when their commits come.

Durability `process`: on the event loop, each step with a commit of its own; a commit is a few
microseconds and never waits for the disk. Durability `disk`: on one writer thread, which commits
whatever has gathered while the disk was busy as one group (group commit); a caller gets its answer
once its group is on disk.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeVar

import structlog

from sidecar.domain.errors import FieldError
from sidecar.storage.store import Store

T = TypeVar("T")

GROUP_MAX: Final = 256

log = structlog.get_logger(__name__)


class Runner(Protocol):
    """Runs steps on the thread that owns the store."""

    async def run(self, work: Callable[[], T]) -> T:
        """Run a step that may share a commit with others. It must be one `Store.transact`."""
        ...

    async def run_alone(self, work: Callable[[], T]) -> T:
        """Run a step that commits by itself: upkeep, which keeps facts in memory, too."""
        ...

    async def close(self) -> None:
        """Finish what was begun; nothing may be run any more."""
        ...


class InlineRunner:
    """Runs each step where it is awaited, which must be the event loop's thread."""

    async def run(self, work: Callable[[], T]) -> T:
        return work()

    async def run_alone(self, work: Callable[[], T]) -> T:
        return work()

    async def close(self) -> None:
        """Nothing is ever under way between two awaits."""


class _Job:
    """A step that waits for the writer thread, and what came of it."""

    __slots__ = ("alone", "error", "future", "result", "work")

    def __init__(
        self, work: Callable[[], Any], future: asyncio.Future[Any], *, alone: bool
    ) -> None:
        self.work = work
        self.future = future
        self.alone = alone
        self.result: Any = None
        self.error: Exception | None = None

    def attempt(self) -> None:
        """Run; keep the result, or the error that concerns this step alone."""
        self.result, self.error = None, None
        try:
            self.result = self.work()
        except FieldError as error:
            self.error = error

    def attempt_finally(self) -> None:
        """Run for the last time: whatever it raises is what came of it."""
        try:
            self.attempt()
        except Exception as error:
            self.error = error

    def settle(self) -> None:
        """Tell the caller; runs on the event loop."""
        if self.future.done():
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class GroupCommitRunner:
    """Runs steps on one writer thread, in the order in which they came."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tallyd-writer", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[], T]) -> T:
        return await self._submit(work, alone=False)

    async def run_alone(self, work: Callable[[], T]) -> T:
        return await self._submit(work, alone=True)

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _submit(self, work: Callable[[], T], *, alone: bool) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, future, alone=alone))
        return await future

    def _work(self) -> None:
        carried: _Job | None = None
        while True:
            first = carried or self._jobs.get()
            carried = None
            if first is None:
                return
            if first.alone:
                first.attempt_finally()
                self._settle([first])
                continue
            group = [first]
            while len(group) < GROUP_MAX:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None or job.alone:
                    # `None` ends the thread: it is put back for the next round to find.
                    carried = job
                    if job is None:
                        self._jobs.put(None)
                    break
                group.append(job)
            self._run_group(group)

    def _run_group(self, group: Sequence[_Job]) -> None:
        try:
            with self._store.group():
                for job in group:
                    job.attempt()
        except Exception as error:
            # Nothing of the group was written. Each alone, so that only the culprit fails.
            log.warning("store.group_failed", jobs=len(group), error=str(error))
            for job in group:
                job.attempt_finally()
        self._settle(group)

    def _settle(self, jobs: Sequence[_Job]) -> None:
        self._loop.call_soon_threadsafe(_settle_all, jobs)


def _settle_all(jobs: Sequence[_Job]) -> None:
    for job in jobs:
        job.settle()
