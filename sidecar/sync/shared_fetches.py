"""What is fetched when it is first needed, companies or totals: one request for many waiters."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable, Iterable, Sequence
from typing import Final, Generic, TypeVar

REQUESTS_MAX: Final = 256
"""Requests at once. A silent plane keeps each for as long as a call may wait, whether or not its
caller is still there: without a bound, callers who give up early could have any number of them."""
REST_SECONDS: Final = 0.5
"""After a request that failed, calls are decided without another try for so long."""
_PART_OF_REMAINING: Final = 0.75
"""What is counted after the wait is to reach its caller still, who would count it again else."""


K = TypeVar("K", bound=Hashable)


class SharedFetches(Generic[K]):
    """What is being fetched, and who waits for it.

    `obtain` gets what is wanted and keeps it; False: it cannot be had now. `seconds`: how long a
    call waits. `outdated`: companies of which later news came while they were being fetched: that
    they were removed, or who is called so.
    """

    def __init__(self, obtain: Callable[[Sequence[K]], Awaitable[bool]], seconds: float) -> None:
        self.outdated: set[K] = set()
        self._obtain = obtain
        self._seconds = seconds
        self._not_before = 0.0
        self._requests = 0
        self._queue: dict[asyncio.Future[None], None] = {}  # who waits for a place, in order
        self._under_way: dict[K, asyncio.Task[None]] = {}

    def __contains__(self, wanted: K) -> bool:
        return wanted in self._under_way

    def resume(self) -> None:
        """The plane is back: try at once."""
        self._not_before = 0.0

    def note_outdated(self, wanted: Iterable[K]) -> None:
        """There is news of companies; what a fetch under way brings of them is older than that."""
        self.outdated.update(name for name in wanted if name in self._under_way)

    async def fetch(self, wanted: Sequence[K], seconds: float | None) -> None:
        """Get what is not held.

        Waits no longer than a part of what the caller has left, nor than is configured; not at all
        while the plane is away.
        """
        patience = self._seconds
        if seconds is not None:
            patience = max(0.0, min(patience, seconds * _PART_OF_REMAINING))
        until = time.monotonic() + patience
        if self._wanted(wanted) and await self._has_room(until):
            self._begin(self._wanted(wanted))  # others may have begun with some meanwhile
        tasks = {self._under_way[name] for name in wanted if name in self._under_way}
        if tasks:
            # `wait` leaves them running: others may wait for them, and the answer is kept.
            await asyncio.wait(tasks, timeout=until - time.monotonic())

    async def _has_room(self, until: float) -> bool:
        """Take a place among the requests, once there is one; False: not in time."""
        if self._requests < REQUESTS_MAX:
            self._requests += 1
            return True
        place = asyncio.get_running_loop().create_future()
        self._queue[place] = None
        try:
            await asyncio.wait((place,), timeout=until - time.monotonic())
        except BaseException:
            if not self._gives_up(place):
                self._leave()
            raise
        return not self._gives_up(place)

    def _gives_up(self, place: asyncio.Future[None]) -> bool:
        """Whether somebody who waited goes without a place; False: it was given meanwhile."""
        self._queue.pop(place, None)
        return place.cancel()

    def _leave(self) -> None:
        """A request is over: its place is another's."""
        if self._queue:
            place = next(iter(self._queue))
            del self._queue[place]
            place.set_result(None)
        else:
            self._requests -= 1

    def _begin(self, wanted: Sequence[K]) -> None:
        """Ask for them; whoever does has a place."""
        if not wanted:
            self._leave()
            return
        task = asyncio.create_task(self._request(wanted))
        for name in wanted:
            self._under_way[name] = task
        task.add_done_callback(lambda _: self._forget(wanted))

    def _wanted(self, wanted: Sequence[K]) -> list[K]:
        if time.monotonic() < self._not_before:
            return []
        return [name for name in wanted if name not in self._under_way]

    async def _request(self, wanted: Sequence[K]) -> None:
        if not await self._obtain(wanted):
            self._not_before = time.monotonic() + REST_SECONDS

    def _forget(self, wanted: Sequence[K]) -> None:
        self._leave()
        for name in wanted:
            self._under_way.pop(name, None)
            self.outdated.discard(name)
