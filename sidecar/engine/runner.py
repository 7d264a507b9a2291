"""Runners: where steps on the store run, and when their commits come.

Durability `process`: on the event loop; a commit is a few microseconds and never waits for the
disk. Steps that come together, as with one read of a connection, share one. Durability `disk`: on
one writer thread, which commits whatever has gathered while the disk was busy as one group (group
commit); a caller gets its answer once its group is on disk.

A job is told what came of its step once that is durable, without a task, a future or a coroutine.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol, TypeAlias, TypeVar

import structlog

from sidecar.domain.errors import FieldError
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

T = TypeVar("T")

GROUP_MAX: Final = 256
"""Most steps that share a commit."""

log = structlog.get_logger(__name__)


class Job(Protocol):
    """A step, and who waits for it."""

    def defer(self) -> None:
        """Called where the outcome will not be there before `submit` returns.

        Raises where the job must not wait; then it is not run.
        """
        ...

    def step(self, transaction: Transaction, /) -> object:
        """The step: runs on the store's thread, and again where its group failed.

        A `FieldError` that it raises concerns itself alone, so it must not have written before.
        """
        ...

    def settle(self, result: Any, error: Exception | None, /) -> None:
        """What came of it; called once, on the event loop. Must not raise."""
        ...


class Runner(Protocol):
    """Runs steps on the thread that owns the store."""

    def submit(self, job: Job) -> None:
        """Run a job's step, which may share a commit with others. Raises what `defer` does."""
        ...

    def begin_group(self) -> None:
        """What is submitted from here to `end_group` comes together. Nothing may be awaited."""
        ...

    def end_group(self) -> None:
        """Nothing more belongs to the group."""
        ...

    async def run(self, work: Callable[[], T]) -> T:
        """Run a step that may share a commit with others. It must be one `Store.transact`."""
        ...

    async def run_alone(self, work: Callable[[], T]) -> T:
        """Run a step that commits by itself: maintenance, which keeps facts in memory, too."""
        ...

    async def close(self) -> None:
        """Finish what was begun; nothing may be run any more."""
        ...


_Outcome: TypeAlias = tuple[Job, Any, Exception | None]


class InlineRunner:
    """Runs each step where it is submitted, which must be the event loop's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._grouping = False
        self._group: list[_Outcome] = []

    def submit(self, job: Job) -> None:
        if self._grouping:
            self._submit_to_group(job)
            return
        try:
            result = self._store.transact(job.step)
        except Exception as error:
            job.settle(None, error)
        else:
            job.settle(result, None)

    def begin_group(self) -> None:
        self._grouping = True

    def end_group(self) -> None:
        self._grouping = False
        self._commit()

    async def run(self, work: Callable[[], T]) -> T:
        # Between jobs of a group: it must see, and tell, only what is committed.
        self._commit()
        try:
            return work()
        except StoreDamaged as error:
            self._store.end(error)
            raise

    async def run_alone(self, work: Callable[[], T]) -> T:
        return await self.run(work)

    async def close(self) -> None:
        """Nothing is ever under way between two awaits."""

    def _submit_to_group(self, job: Job) -> None:
        if not self._group:
            try:
                self._store.begin_group()
            except FieldError as error:
                job.settle(None, error)
                return
        try:
            outcome: _Outcome = (job, self._store.step_in_group(job.step), None)
        except FieldError as error:
            outcome = (job, None, error)
        except Exception as error:
            self._group.append((job, None, error))
            self._store.abort_group()
            self._run_each_alone(error)
            return
        self._group.append(outcome)
        if len(self._group) >= GROUP_MAX:
            self._commit()

    def _commit(self) -> None:
        if not self._group:
            return
        try:
            self._store.commit_group()
        except Exception as error:
            self._run_each_alone(error)
            return
        group, self._group = self._group, []
        for job, result, error_of_job in group:
            job.settle(result, error_of_job)

    def _run_each_alone(self, error: Exception) -> None:
        """Nothing of the group was written. Each alone, so that only the culprit fails."""
        group, self._group = self._group, []
        for job, result, error_of_job in _each_alone(self._store, group, error):
            job.settle(result, error_of_job)


class _Awaited:
    """A job that somebody awaits. `alone`: it commits by itself."""

    __slots__ = ("_future", "_work", "alone")

    def __init__(
        self, work: Callable[[], Any], future: asyncio.Future[Any], *, alone: bool
    ) -> None:
        self._work = work
        self._future = future
        self.alone = alone

    def defer(self) -> None:
        """It may wait: whoever awaits it has seen to that."""

    def step(self, transaction: Transaction) -> Any:
        return self._work()

    def attempt(self) -> tuple[Any, Exception | None]:
        """Run alone: its result, or whatever it raised."""
        try:
            return self._work(), None
        except Exception as error:
            return None, error

    def settle(self, result: Any, error: Exception | None) -> None:
        if self._future.done():
            return
        if error is None:
            self._future.set_result(result)
        else:
            self._future.set_exception(error)


class GroupCommitRunner:
    """Runs steps on one writer thread, in the order in which they came."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tallyd-writer", daemon=True)
        self._thread.start()

    def submit(self, job: Job) -> None:
        job.defer()
        self._jobs.put(job)

    def begin_group(self) -> None:
        """What waits for the disk gathers by itself."""

    def end_group(self) -> None:
        """As above."""

    async def run(self, work: Callable[[], T]) -> T:
        return await self._await(work, alone=False)

    async def run_alone(self, work: Callable[[], T]) -> T:
        return await self._await(work, alone=True)

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _await(self, work: Callable[[], T], *, alone: bool) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Awaited(work, future, alone=alone))
        return await future

    def _work(self) -> None:
        carried: Job | None = None
        while True:
            first = carried or self._jobs.get()
            carried = None
            if first is None:
                return
            if isinstance(first, _Awaited) and first.alone:
                result, error = first.attempt()
                if isinstance(error, StoreDamaged):
                    self._store.end(error)
                self._settle([(first, result, error)])
                continue
            group = [first]
            while len(group) < GROUP_MAX:
                try:
                    job = self._jobs.get_nowait()
                except queue.Empty:
                    break
                if job is None or _is_alone(job):
                    # `None` ends the thread: it is put back for the next round to find.
                    carried = job
                    if job is None:
                        self._jobs.put(None)
                    break
                group.append(job)
            self._settle(self._outcomes(group))

    def _outcomes(self, group: Sequence[Job]) -> list[_Outcome]:
        """Run a group with one commit."""
        outcomes: list[_Outcome] = []
        try:
            with self._store.group():
                for job in group:
                    try:
                        outcomes.append((job, self._store.step_in_group(job.step), None))
                    except FieldError as error:
                        outcomes.append((job, None, error))
        except Exception as error:
            # Nothing of the group was written. Each alone, so that only the culprit fails.
            begun = outcomes + [(job, None, None) for job in group[len(outcomes) :]]
            return _each_alone(self._store, begun, error)
        return outcomes

    def _settle(self, outcomes: Sequence[_Outcome]) -> None:
        self._loop.call_soon_threadsafe(_settle_all, outcomes)


def _each_alone(store: Store, group: Sequence[_Outcome], error: Exception) -> list[_Outcome]:
    """Run the jobs of a group of which nothing was written, one by one.

    Whoever met damage in the store is told of it; the others are refused then.
    """
    if store.ended_by is None:
        # Whoever looks after the store says so once; this comes with every call meanwhile.
        log.debug("store.group_failed", jobs=len(group), error=str(error))
    return [
        (job, None, met) if isinstance(met, StoreDamaged) else (job, *_attempt(store, job))
        for job, _, met in group
    ]


def _attempt(store: Store, job: Job) -> tuple[Any, Exception | None]:
    """Run a job's step with a commit of its own: its result, or whatever it raised."""
    try:
        return store.transact(job.step), None
    except Exception as error:
        return None, error


def _is_alone(job: Job) -> bool:
    return isinstance(job, _Awaited) and job.alone


def _settle_all(outcomes: Sequence[_Outcome]) -> None:
    for job, result, error in outcomes:
        job.settle(result, error)
