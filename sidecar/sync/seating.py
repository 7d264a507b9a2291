"""Seating: asks the plane for seats, hears of those of others, and tells what was done without it.

Rules
- Requests that wait at the same time share a message; one is under way at a time, and what comes
  meanwhile gathers for the next. Who waits does so within the caller's patience; while the plane
  is away nobody waits.
- What the plane has answered is in the store before who waits goes on. An answer is kept only
  where no later change was heard already, which may concern it.
- Changes are heard by a stream of their own, which is there while the catalog has seats. It
  resumes from the version up to which all changes are known; where the plane says that this is
  not to be relied on (it lost state, say), nothing that was known is.
- What was done while the plane was away is told once it is back, until it has taken it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from functools import partial
from typing import Final

import structlog

from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import Exhausted
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult, SeatsTold
from sidecar.domain.slices import pages
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.storage.seats import HEARD_AT_ONCE, SeatPosition, Seats
from sidecar.storage.store import Store
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.plane_answers import PlaneAway
from sidecar.sync.retry_wait import RetryWait
from sidecar.sync.seat_calls import SeatCalls, SeatsAnswered

WAITING_MAX: Final = 10_000
"""Requests that may wait; more are told to come back."""
REQUESTS_AT_ONCE: Final = 500
SILENCE_SECONDS: Final = 20.0
"""The plane speaks every 5 seconds on a watch; past this silence the stream is given up."""
UNTOLD_AT_ONCE: Final = 200
_PART_OF_REMAINING: Final = 0.75
"""As with leases: what is done after the wait is to reach its caller still."""
_LOOK_SECONDS: Final = 0.25

log = structlog.get_logger(__name__)

_Waiting = tuple[SeatRequest, asyncio.Future[SeatResult | None]]


class Seating:
    """Gets seats for calls, for as long as `run` is running, and `follow` hears of others'.

    `everyone`: seats of all companies are followed; else of those that the directory follows.
    `fetch_seconds`: how long a call waits at most, and an exchange lasts.
    """

    def __init__(
        self,
        store: Store,
        seats: Seats,
        runner: Runner,
        directory: Directory,
        calls: SeatCalls,
        hearing: TotalsApplier,
        plane_status: PlaneStatus,
        *,
        everyone: bool,
        fetch_seconds: float,
    ) -> None:
        self._store, self._seats, self._runner = store, seats, runner
        self._directory, self._calls, self._hearing = directory, calls, hearing
        self._plane_status = plane_status
        self._follows = None if everyone else directory.follows
        self._seconds = fetch_seconds
        self._waiting: list[_Waiting] = []
        self._wake = asyncio.Event()
        self._untold_wake = asyncio.Event()
        self._retry_wait = RetryWait()
        self._looked: tuple[CatalogIndex | None, bool] = (None, False)
        self._told: set[type[Exception]] = set()
        self._is_following = False
        self.asked = self.failures = self.heard = self.untold = 0

    async def ask(self, request: SeatRequest, seconds: float | None) -> SeatResult | None:
        """Ask the plane, as long as the caller lets it wait; `None`: it could not be asked.

        Raises `Exhausted` where too many wait.
        """
        if not self._plane_status.connected:
            return None
        if len(self._waiting) >= WAITING_MAX:
            raise Exhausted("", "too many calls wait for seats", "BUSY")
        patience = self._seconds
        if seconds is not None:
            patience = max(0.0, min(patience, seconds * _PART_OF_REMAINING))
        future: asyncio.Future[SeatResult | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, future))
        self._wake.set()
        done, _ = await asyncio.wait([future], timeout=patience)
        if not done:
            future.cancel()  # should the plane assign it all the same, the holder has it
            return None
        return future.result()

    async def list_page(
        self, counter: CounterName, behind: str, most: int, seconds: float | None
    ) -> tuple[list[Seat], bool] | None:
        """Seats of a counter behind a holder, and whether there are more; `None`: cannot be had."""
        if not self._plane_status.connected:
            return None
        patience = self._seconds if seconds is None else min(self._seconds, seconds)
        incarnation = self._store.incarnation.id
        try:
            return await self._calls.list_page(incarnation, counter, behind, most, patience)
        except PlaneAway:
            return None

    def connected(self) -> None:
        """The plane can be reached again."""
        self._retry_wait.connected()
        self._untold_wake.set()

    def note_untold(self) -> None:
        """Something was done without the plane, which is to be told."""
        self.untold += 1
        self._untold_wake.set()

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs in the background."""
        return self.run(), self.follow(), self.tell()

    async def run(self) -> None:
        """Ask for those who wait, until cancelled."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while waiting := self._next():
                await self._ask_for(waiting)

    async def follow(self) -> None:
        """Hear of changes, until cancelled."""
        while True:
            if not self._has_seats():
                await asyncio.sleep(_LOOK_SECONDS)
                continue
            try:
                await self._follow()
            except Exception as error:  # whatever it is, an exchange failed; told once
                self._note(error)
            await self._retry_wait.rest()

    async def tell(self) -> None:
        """Tell what was done without the plane, until cancelled."""
        while True:
            told = await self._tell_some() if self._plane_status.connected else 0
            if told < UNTOLD_AT_ONCE:
                self._untold_wake.clear()
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        await self._untold_wake.wait()
                except TimeoutError:
                    pass

    def _next(self) -> list[_Waiting]:
        """Those who are asked for next; who has left is none of them."""
        waiting = [each for each in self._waiting[:REQUESTS_AT_ONCE] if not each[1].done()]
        del self._waiting[:REQUESTS_AT_ONCE]
        return waiting or (self._next() if self._waiting else [])

    async def _ask_for(self, waiting: Sequence[_Waiting]) -> None:
        results: Sequence[SeatResult | None]
        try:
            results = (await self._exchange([request for request, _ in waiting])).results
        except Exception as error:
            # Whatever an exchange raises is a failed exchange: the next one may go well.
            self._note(error)
            results = [None] * len(waiting)
        for (_, future), result in zip(waiting, results, strict=True):
            if not future.done():
                future.set_result(result)

    async def _exchange(self, requests: Sequence[SeatRequest]) -> SeatsAnswered:
        """Ask, and have the store know the answer."""
        incarnation = self._store.incarnation.id
        self.asked += len(requests)
        answer = await self._calls.assign(incarnation, requests, self._seconds)
        totals = [total for result in answer.results for total in result.totals]
        await self._hearing.hear(incarnation, totals)
        seats = [seat for result in answer.results for seat in result.seats]
        for some in pages(seats, HEARD_AT_ONCE):
            take = partial(self._seats.take, some, answer.version, answer.epoch)
            await self._runner.run_alone(take)
        self._told.clear()
        return answer

    async def _tell_some(self) -> int:
        """Tell some of what was done; of how many things there may be more."""
        try:
            requests = await self._runner.run_alone(partial(self._seats.untold, UNTOLD_AT_ONCE))
            self.untold = len(requests)
            if not requests:
                return 0
            await self._exchange(requests)
            await self._runner.run_alone(partial(self._seats.are_told, requests))
        except Exception as error:
            self._note(error)
            return 0
        self.untold = 0
        return len(requests)

    async def _follow(self) -> None:
        position, first = self._seats.position, True
        stream = self._calls.watch(
            self._store.incarnation.id, position, changes_alone=self._follows is not None
        )
        try:
            while True:
                async with asyncio.timeout(SILENCE_SECONDS):
                    told = await anext(stream, None)
                if told is None:
                    return
                await self._hear(told, is_first=first)
                first = False
                if not self._is_following:
                    self._is_following = True
                    log.info("sync.seats_followed", version=told.until_version)
                self._retry_wait.succeeded()
        finally:
            await stream.aclose()

    async def _hear(self, told: SeatsTold, *, is_first: bool) -> None:
        if told.is_anew or told.epoch != self._seats.position.epoch:
            if not is_first:
                # Where a stream began is what it goes on from: a plane that loses state ends it.
                raise PlaneAway("seats told anew in the middle of a stream")
            if self._seats.position.version:
                log.warning("sync.seats_anew", epoch=told.epoch)
            await self._runner.run_alone(partial(self._seats.begin_anew, told.epoch))
        for some in pages(told.changes, HEARD_AT_ONCE):
            await self._runner.run_alone(partial(self._seats.hear, some, None, self._follows))
            self.heard += len(some)
            await asyncio.sleep(0)
        position = self._seats.position
        if told.until_version > position.version:
            reached = SeatPosition(told.epoch, told.until_version, position.generation)
            await self._runner.run_alone(partial(self._seats.hear, (), reached))

    def _has_seats(self) -> bool:
        """Whether the catalog has any feature with seats."""
        index = self._directory.index
        if self._looked[0] is not index:
            has = index is not None and any(
                each.kind is FeatureKind.SEATS for each in index.features.values()
            )
            self._looked = (index, has)
        return self._looked[1]

    def _note(self, error: Exception) -> None:
        """Log what is not an outage, which others tell, once until it goes well again."""
        self.failures += 1
        kind = type(error)
        if kind in self._told or kind in (PlaneAway, TimeoutError):
            return
        self._told.add(kind)
        log.warning("sync.seats_failed", error=str(error) or repr(error))
