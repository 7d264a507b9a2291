"""Answers calls for leases: hands those that wait to the writer thread, a group at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from typing import Final

from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.lease_answers import LeaseCall
from sidecar.control.rpc.lease_groups import LeaseGroups
from sidecar.control.rpc.workers import Workers
from sidecar.control.storage.witness_port import LeaseWitness
from sidecar.domain.errors import Exhausted

CALLS_MAX: Final = 1_000
"""Calls that may wait; more are told to come back."""


class LeaseAnswering:
    """Answers calls for leases. `watching`: incarnations that have a watch open."""

    def __init__(
        self,
        workers: Workers,
        witness: LeaseWitness,
        clock: Callable[[], int],
        watching: Callable[[], Collection[str]],
    ) -> None:
        self._workers = workers
        self._clock = clock
        self._watching = watching
        self._groups = LeaseGroups(witness)
        self._waiting: dict[LeaseCall, asyncio.Future[None]] = {}
        self._task: asyncio.Task[None] | None = None

    async def answered(self, message: sync_pb2.RequestLeasesRequest) -> LeaseCall:
        """A call, once it is over. Raises `Exhausted` where too many wait."""
        if len(self._waiting) >= CALLS_MAX:
            raise Exhausted("", "too many calls for leases are waiting", "BUSY")
        call = LeaseCall(message)
        future = self._waiting[call] = asyncio.get_running_loop().create_future()
        self._groups.add(call)
        if self._task is None:
            self._task = asyncio.create_task(self._run())
        try:
            await future
        finally:
            call.is_left = True
            self._waiting.pop(call, None)
        return call

    async def _run(self) -> None:
        """Answer groups until nothing waits. In between, others have their turn at the store."""
        try:
            while self._groups:
                calls = await self._workers.write(
                    self._groups.answer_next, self._clock(), self._watching()
                )
                self._end(calls)
        except Exception as error:
            calls = list(self._waiting)
            for call in calls:
                call.error, call.is_left = error, True
            self._end(calls)
        finally:
            self._task = None

    def _end(self, calls: Collection[LeaseCall]) -> None:
        for call in calls:
            future = self._waiting.pop(call, None)
            if future is not None and not future.done():
                future.set_result(None)
