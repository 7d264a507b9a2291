"""What the store holds of leases, gone through in steps: to look after, report and give back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Final

import structlog

from sidecar.directory.directory import Directory
from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import LeaseEntry, LeaseWish
from sidecar.domain.limits.counters import CounterName
from sidecar.engine.runner import Runner
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.leases import LEASES_AT_ONCE, Leases
from sidecar.storage.store import Store
from sidecar.sync.lease_calls import LeaseCalls
from sidecar.sync.machine.leasing import LeaseMachine
from sidecar.sync.next_windows import carries_on, next_counter
from sidecar.sync.plane_answers import PlaneAway

_PAGE_SECONDS: Final = 0.02
_ROUND_SECONDS: Final = 1.0
_GIVE_BACK_SECONDS: Final = 2.0

log = structlog.get_logger(__name__)


class LeaseInventory:
    """Goes through what is held. `now`: the time gone by."""

    def __init__(
        self,
        store: Store,
        leases: Leases,
        runner: Runner,
        calls: LeaseCalls,
        machine: LeaseMachine,
        directory: Directory,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._leases = leases
        self._runner = runner
        self._calls = calls
        self._machine = machine
        self._directory = directory
        self._now = now

    async def run(self, woken: Callable[[], None]) -> None:
        """Look at all in turn, for ever; `woken` is called after each page."""
        while True:
            try:
                async for entries in self._pages():
                    await self._look(entries)
                    woken()
                    await asyncio.sleep(_PAGE_SECONDS)
                self._machine.held.round_ended()
            except FieldError as error:
                # A store in trouble says so elsewhere; here it is tried again.
                log.debug("leases.look_failed", error=str(error))
            await asyncio.sleep(_ROUND_SECONDS)

    async def report(self, epoch: str) -> None:
        """Tell the plane all that is held, also by earlier incarnations. Raises `PlaneAway`.

        Later ones first: what is sent again under one of them was taken off those before. And not
        while that is being done.
        """
        if self._store.incarnations[0].fenced:
            raise PlaneAway("records of the incarnation before are being moved")
        incarnation = self._store.incarnation.id
        life = await self._runner.run_alone(partial(self._leases.life_before, None))
        while life is not None:
            async for entries in self._through(partial(self._leases.page_of, life)):
                await self._calls.report(incarnation, epoch, entries)
            life = await self._runner.run_alone(partial(self._leases.life_before, life))
        numbers = await self._runner.run_alone(self._leases.numbers)
        await self._calls.report_complete(incarnation, epoch, numbers)

    @asynccontextmanager
    async def leaving(
        self, keep_terms: Callable[[], Awaitable[None]], woken: Callable[[], None]
    ) -> AsyncIterator[None]:
        """While the store leaves its incarnation: lower all that it holds to what it has counted.

        Nothing is asked for meanwhile, nothing is spent of it afterwards, and all is reported anew
        then, also after a restart: `keep_terms` has the disk know that. `woken` is called at the
        end. Raises as `Store.transact`.
        """
        self._machine.reports.leave()
        try:
            await keep_terms()
            after = await self._runner.run_alone(partial(self._leases.lower, b""))
            while after:
                await asyncio.sleep(0)
                after = await self._runner.run_alone(partial(self._leases.lower, after))
            yield
        finally:
            self._machine.reports.left()
            woken()

    async def give_back_all(self, epoch: str) -> None:
        """Give back all that is held. Raises `PlaneAway`: the rest stays as it is."""
        incarnation = self._store.incarnation.id
        async for entries in self._pages():
            wishes = [
                LeaseWish(entry.counter, gives_back=True)
                for entry in entries
                if entry.incarnation == incarnation and entry.granted > entry.own
            ]
            if wishes:
                step = partial(self._leases.request, wishes)
                requests = await self._runner.run_alone(step)
                await self._calls.request(incarnation, epoch, requests, _GIVE_BACK_SECONDS)

    def _pages(self) -> AsyncIterator[Sequence[LeaseEntry]]:
        return self._through(lambda after: self._leases.page(after, LEASES_AT_ONCE))

    async def _through(
        self, page: Callable[[bytes], tuple[list[LeaseEntry], bytes]]
    ) -> AsyncIterator[Sequence[LeaseEntry]]:
        after = b""
        while True:
            entries, after = await self._runner.run_alone(partial(page, after))
            yield entries
            await asyncio.sleep(0)
            if not after:
                return

    async def _look(self, entries: Sequence[LeaseEntry]) -> None:
        incarnation = self._store.incarnation.id
        present = [entry for entry in entries if entry.incarnation == incarnation]
        at_us = self._now()
        looked = self._machine.looked(ticks_us(), at_us, present)
        if looked.over:
            carried = await self._runner.run_alone(partial(self._carried, looked.over, at_us))
            self._machine.give_back(ticks_us(), carried)
        for counter in looked.near:
            following = await self._runner.run_alone(partial(self._next, counter, at_us))
            if following is not None:
                self._machine.opens_soon(ticks_us(), following, counter)
            await asyncio.sleep(0)

    def _carried(self, counters: Sequence[CounterName], at_us: int) -> list[CounterName]:
        return [each for each in counters if carries_on(self._directory, each, at_us)]

    def _next(self, counter: CounterName, at_us: int) -> CounterName | None:
        return next_counter(self._directory, counter, at_us)
