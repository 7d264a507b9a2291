"""Threads for the store, so that the event loop never waits for a disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Concatenate, Final, ParamSpec, TypeVar

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.errors import Exhausted, Unavailable

READERS: Final = 2
WAITING_MAX: Final = 1_000
"""Calls that may wait for a thread of one kind; more are told to come back."""

Arguments = ParamSpec("Arguments")
Answer = TypeVar("Answer")


class _Lane:
    """A pool of threads with a bounded queue before it."""

    def __init__(self, name: str, threads: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tallyd-{name}")
        self._waiting = 0

    async def run(self, work: Callable[[], Answer]) -> Answer:
        if self._waiting >= WAITING_MAX:
            raise Exhausted("", "too many calls are waiting for the store", "BUSY")
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)


class Workers:
    """Runs functions of the store: those that write one after another, those that read beside."""

    def __init__(self, store: PlaneStore) -> None:
        self._store = store
        self._failure: Unavailable | None = None
        self._reading = _Lane("read", READERS)
        self._writing = _Lane("write", 1)

    async def read(
        self,
        work: Callable[Concatenate[PlaneStore, Arguments], Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Run `work(store, ...)` in a thread for reading; `Exhausted` if too many wait."""
        return await self._noted(self._reading, lambda: work(self._store, *args, **kwargs))

    async def write(
        self,
        work: Callable[Concatenate[PlaneStore, Arguments], Answer],
        *args: Arguments.args,
        **kwargs: Arguments.kwargs,
    ) -> Answer:
        """Run `work(store, ...)` in the thread for writing; `Exhausted` if too many wait.

        What has begun goes on, though the caller may have left.
        """
        return await self._noted(self._writing, lambda: work(self._store, *args, **kwargs))

    async def _noted(self, lane: _Lane, work: Callable[[], Answer]) -> Answer:
        try:
            return await lane.run(work)
        except Unavailable as error:
            self._failure = error
            raise

    def taken_failure(self) -> Unavailable | None:
        """What the store could not do since this was last asked; `None`: it could do all."""
        failure, self._failure = self._failure, None
        return failure

    def close(self) -> None:
        """End the threads, once what they are at is done."""
        self._reading.close()
        self._writing.close()
