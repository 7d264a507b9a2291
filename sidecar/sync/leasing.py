"""Leasing: carries out what the lease machine says, on the store and at the plane."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import Final, TypeVar

import structlog

from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import REFUSALS, LeaseNeed, LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.slices import pages
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.lease_entry import counter_key_of
from sidecar.storage.lease_terms import LeaseTerms, read_lease_terms, write_lease_terms
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from sidecar.storage.store import Store
from sidecar.sync.lease_calls import EpochChanged, IncarnationLeft, LeaseCalls
from sidecar.sync.lease_figures import LeaseFigures
from sidecar.sync.lease_inventory import LeaseInventory
from sidecar.sync.lease_waiters import LeaseWaiters
from sidecar.sync.machine.lease_actions import AskLeases, LeaseOutcome, ReportLeases, Rest
from sidecar.sync.machine.leasing import LeaseMachine
from sidecar.sync.plane import PlaneGreeting
from sidecar.sync.plane_answers import PlaneAway
from sidecar.sync.resting import rest

_GATHER_SECONDS: Final = 0.002
"""How long marks of leases that run low gather, before anybody is woken for them."""
_HURRY_SECONDS: Final = 1.0

T = TypeVar("T")

log = structlog.get_logger(__name__)


class Leasing:
    """Gets leases for calls, refills them and gives them back, for as long as `run` is running.

    `now`: the time gone by. `fetch_seconds`: how long a call waits at most, and an exchange lasts.
    `hurry`: has the plane told what was counted. `greet`: has it greeted.
    """

    def __init__(
        self,
        store: Store,
        leases: Leases,
        runner: Runner,
        calls: LeaseCalls,
        machine: LeaseMachine,
        inventory: LeaseInventory,
        plane_status: PlaneStatus,
        figures: LeaseFigures,
        *,
        now: Callable[[], int],
        fetch_seconds: float,
        hurry: Callable[[float], Awaitable[object]],
        greet: Callable[[], None],
    ) -> None:
        self._figures = figures
        self._store = store
        self._leases, self._runner = leases, runner
        self._calls, self._machine = calls, machine
        self._inventory = inventory
        self._plane_status = plane_status
        self._book = plane_status.lease_book
        self._now, self._fetch_seconds = now, fetch_seconds
        self._hurry, self._greet = hurry, greet
        self._kept = read_lease_terms(store)
        plane_status.leases = self._kept.in_use
        self._incarnation = store.incarnation.id
        self._waiters = LeaseWaiters(machine, fetch_seconds)
        self._tasks: set[asyncio.Task[None]] = set()
        self._hurrying: asyncio.Task[object] | None = None
        self._loop = asyncio.get_running_loop()
        self._stepping = asyncio.Lock()
        self._wake = asyncio.Event()
        self._ends = self._is_away = False
        self._told: set[type[Exception]] = set()

    async def run(self) -> None:
        """Ask and give back until cancelled."""
        self._book.on_due = self._marked
        try:
            while True:
                self._wake.clear()
                await self._keep_terms()
                now_us = ticks_us()
                if self._machine.takes_due(now_us):
                    self._machine.due(now_us, self._book.take_due())
                until_us = self._act()
                await rest(self._wake, until_us - ticks_us())
        finally:
            self._book.on_due = None
            for task in self._tasks:
                task.cancel()

    async def look(self) -> None:
        """Look through what the store holds, for ever."""
        await self._inventory.run(self._wake.set)

    async def fetch(self, needs: Collection[LeaseNeed], seconds: float | None) -> bool:
        """Get leases for a call, as long as the caller and the settings let it wait.

        Whether any was granted. Not at all while the plane does not answer.
        """
        granted = await self._waiters.wait(needs, seconds, self._wake.set)
        if len(granted) < len(needs):
            lacking = {need.counter for need in needs} - granted
            self._figures.denied(ticks_us(), lacking)
        return bool(granted)

    def greeted(self, greeting: PlaneGreeting) -> None:
        """The plane has said who it is, and whether it grants leases."""
        grants = greeting.grants_leases
        if not grants and self._plane_status.leases:
            log.warning("leases.not_granted_any_more")
        ended = self._machine.greeted(
            ticks_us(), greeting.epoch, grants_leases=grants, is_fenced=greeting.is_fenced
        )
        self._waiters.end(ended)
        self._plane_status.leases &= grants
        self._wake.set()

    def recalled(self, counters: Sequence[CounterName]) -> None:
        """The plane asks for leases back."""
        self._figures.recalls += len(counters)
        self._machine.give_back(ticks_us(), counters)
        self._wake.set()

    def contact(self, *, connected: bool) -> None:
        """Whether the plane could be greeted, and takes records."""
        was_away, self._is_away = self._is_away, not connected
        if not connected:
            self._waiters.end(self._machine.plane_away(ticks_us()))
        elif was_away:
            self.connected()  # what failed before may have been told after that ended the rest

    def connected(self) -> None:
        """The plane can be reached again: try at once."""
        self._machine.connected()
        self._wake.set()

    def leaving(self) -> AbstractAsyncContextManager[None]:
        """While the store leaves an incarnation: spend nothing under it, then report all anew."""
        return self._inventory.leaving(self._keep_terms, self._wake.set)

    async def give_back_all(self, seconds: float) -> None:
        """Give back all leases, at the end, as far as the plane takes them in time."""
        self._ends = True
        if not self._plane_status.leases or not self._plane_status.connected:
            return
        try:
            async with asyncio.timeout(seconds):
                if self._tasks:
                    await asyncio.wait(self._tasks)  # their answers may bring more
                await self._inventory.give_back_all(self._machine.reports.epoch)
        except (PlaneAway, FieldError, TimeoutError) as error:
            log.warning("leases.not_given_back", error=str(error) or "not in time")

    async def _keep_terms(self) -> None:
        """Have the disk know on what terms leases are used, and only then use them."""
        terms = LeaseTerms(self._machine.in_use, self._machine.reports.epoch)
        if terms != self._kept:
            try:
                await self._runner.run_alone(partial(write_lease_terms, self._store, terms))
            except FieldError as error:
                self._tell(error)
                return
            self._kept = terms
        self._plane_status.leases = self._machine.in_use

    def _marked(self) -> None:
        """Leases run low; called on the store's thread."""
        self._loop.call_soon_threadsafe(self._loop.call_later, _GATHER_SECONDS, self._wake.set)

    def _act(self) -> int:
        """Begin whatever is to be done now; until when there is nothing."""
        while True:
            now_us = ticks_us()
            if self._ends:
                return now_us + SECOND_US
            action = self._machine.next_action(now_us)
            if isinstance(action, Rest):
                return action.until_us
            begun = self._ask if isinstance(action, AskLeases) else self._report
            task = asyncio.create_task(begun(action))  # type: ignore[arg-type]
            self._tasks.add(task)
            task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._wake.set()

    async def _ask(self, ask: AskLeases) -> None:
        began_us = ticks_us()
        try:
            incarnation = self._known_incarnation()
            requests, results = await self._exchange(ask, incarnation)
            outcome = self._machine.answered(ticks_us(), requests, results)
            await self._take(incarnation, outcome)
        except EpochChanged:
            self._machine.epoch_lost(ticks_us(), ask)
            self._greet()
            return
        except IncarnationLeft:
            self._machine.left(ticks_us(), ask)
            return
        except Exception as error:
            # Whatever an exchange raises is a failed exchange: the next one may go well.
            self._figures.failures += 1
            self._tell(error)
            self._waiters.end(self._machine.failed(ticks_us(), ask))
            return
        self._told.clear()
        self._note(requests, results, outcome)
        granted = frozenset(counter for counter, _, _ in outcome.take)
        self._waiters.end(self._machine.taken(ticks_us(), ask, requests, results), granted)
        self._figures.requests.observe(ticks_us() - began_us)
        self._act()

    def _known_incarnation(self) -> str:
        """The store's present incarnation; where it is a new one, it holds nothing."""
        incarnation = self._store.incarnation.id
        if incarnation != self._incarnation:
            self._incarnation = incarnation
            self._machine.held.clear()
        return incarnation

    async def _exchange(
        self, ask: AskLeases, incarnation: str
    ) -> tuple[list[LeaseRequest], list[LeaseResult]]:
        requests: list[LeaseRequest] = []
        for wishes in pages(ask.wishes, LEASES_AT_ONCE):
            requests += await self._step(incarnation, partial(self._leases.request, wishes))
        self._require(incarnation)
        self._machine.asked(ticks_us(), requests)
        results = await self._calls.request(incarnation, ask.epoch, requests, self._fetch_seconds)
        return requests, results

    async def _take(self, incarnation: str, outcome: LeaseOutcome) -> None:
        for answered in pages(outcome.take, LEASES_AT_ONCE):
            await self._step(incarnation, partial(self._leases.take, incarnation, answered))
        for counter in outcome.drop:
            await self._step(incarnation, partial(self._leases.drop, counter))

    async def _step(self, incarnation: str, work: Callable[[], T]) -> T:
        """Run a step on the store; one between two turns of the loop, whatever is under way."""
        async with self._stepping:
            self._require(incarnation)
            result = await self._runner.run_alone(work)
            await asyncio.sleep(0)
            return result

    def _require(self, incarnation: str) -> None:
        """Raise `IncarnationLeft` where it is another one, or is to be: what this holds is told."""
        if self._machine.reports.is_leaving or self._store.incarnation.id != incarnation:
            raise IncarnationLeft

    def _note(
        self,
        requests: Sequence[LeaseRequest],
        results: Sequence[LeaseResult],
        outcome: LeaseOutcome,
    ) -> None:
        """Tell calls what the plane has said; before they are told to go on."""
        now_us = ticks_us()
        for request, result in zip(requests, results, strict=True):
            counter, status = request.counter, result.status
            self._figures.answered(now_us, counter, status, request.need)
            if status is LeaseStatus.GRANTED:
                self._book.note_exact(counter.company, result.exact)
            elif status in REFUSALS:
                self._refused(request, status)
        ahead_us = self._now() - now_us
        for refusal in outcome.refusals:
            key = counter_key_of(refusal.counter)
            until_us = refusal.until_us + ahead_us
            self._book.note(key, refusal.status, until_us, refusal.quantity)
        if outcome.hurry and (self._hurrying is None or self._hurrying.done()):
            self._hurrying = asyncio.ensure_future(self._hurry(_HURRY_SECONDS))

    async def _report(self, report: ReportLeases) -> None:
        try:
            await self._inventory.report(report.epoch)
        except Exception as error:
            self._tell(error)
            self._machine.report_failed(ticks_us())
            if isinstance(error, EpochChanged):
                self._greet()
        else:
            self._machine.reported(ticks_us(), report.epoch)

    def _refused(self, request: LeaseRequest, status: LeaseStatus) -> None:
        """The plane knows nothing of what was held, or knows of later requests: told once.

        It may have fenced this store, which learns that by greeting: without leases it counts
        nothing, and so has nothing to push.
        """
        self._greet()
        if self._figures.refused == 1:
            where = {"company": request.counter.company, "feature": request.counter.feature}
            log.warning("leases.refused", status=status.name, held=request.held, **where)

    def _tell(self, error: Exception) -> None:
        """Log a failure, once of each kind until an exchange goes well."""
        if type(error) in self._told:
            return
        self._told.add(type(error))
        if isinstance(error, PlaneAway):
            log.warning("leases.plane_away", error=str(error))
        elif isinstance(error, FieldError):
            log.error("leases.failed", error=str(error), reason=error.reason)
        else:
            log.error("leases.failed", reason="INTERNAL", exc_info=error)
