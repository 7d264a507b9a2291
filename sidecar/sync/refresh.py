"""Refreshing totals: what others counted while there was no watch, or was not told, is asked for.

By versions of the plane's ledger: what changed since the one up to which all is known, of the
companies that are held, whether or not they are in memory. A store that knows of no version asks
for all that can still count. A plane of before versions is asked for the totals of all that are
held, each time.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Final

import structlog

from sidecar.directory.directory import Directory
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.slices import pages
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.runner import Runner
from sidecar.shared.backoff import Backoff
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store import Store
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_answers import ListedTotals, PlaneLacks
from sidecar.sync.rest_of_totals import RestOfTotals

CHUNK: Final = 200
"""Companies that are asked for at once."""
_PAGE_SECONDS: Final = 20.0
_NEWEST: Final = INT64_MAX - 1
"""Nothing changed after this version: asked for changes behind it, the plane says its version."""
_EVERYONE: Final[tuple[str, ...]] = ()

log = structlog.get_logger(__name__)


class TotalsRefresh:
    """Asks for totals, in the background. `everyone`: of all companies, held or not.

    `ask` gets totals of companies from a plane that knows no versions.
    """

    def __init__(
        self,
        store: Store,
        snapshots: Snapshots,
        directory: Directory,
        runner: Runner,
        plane: PlaneClient,
        hearing: TotalsApplier,
        keeper: CoverageKeeper,
        *,
        everyone: bool,
        now: Callable[[], int],
        ask: Callable[[Sequence[str]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._snapshots = snapshots
        self._directory = directory
        self._runner = runner
        self._plane = plane
        self._hearing = hearing
        self._keeper = keeper
        self._everyone = everyone
        self._now = now
        self._ask = ask
        self._rest = RestOfTotals(store, plane, hearing, keeper)
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    def start(self) -> None:
        """Refresh in the background, until it is done; what was under way begins anew."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._refresh())

    def ensure(self) -> None:
        """Refresh if anything is known to be missing, and can be heard, unless that is under way.

        While records of an earlier incarnation wait, nothing can be: `start` is called behind them.
        """
        if (self._task is None or self._task.done()) and self._lacks_something():
            self.start()

    async def newest_version(self) -> int:
        """Version of the plane's ledger; 0 where it says none."""
        incarnation = self._store.incarnation.id
        try:
            listed = await self._plane.list_totals(
                incarnation, _EVERYONE, _NEWEST, "", _PAGE_SECONDS
            )
        except PlaneLacks:
            return 0
        return listed.version

    async def hear_all(
        self,
        incarnation: str,
        companies: Sequence[str],
        listed: ListedTotals,
        *,
        after_version: int = 0,
    ) -> bool:
        """Hear a page of companies' totals, and those behind it. False: not all was taken.

        Raises `PlaneAway`.
        """
        while await self._hearing.hear(incarnation, listed.totals):
            token = listed.next_token
            if not token:
                return True
            listed = await self._plane.list_totals(
                incarnation, companies, after_version, token, _PAGE_SECONDS
            )
        return False

    async def hear_first(
        self, incarnation: str, companies: Sequence[str], listed: ListedTotals
    ) -> None:
        """Hear a page of totals of companies that a call waits for; those behind it, later."""
        await self._hearing.hear(incarnation, listed.totals)
        if listed.next_token and not await self._rest.begin(companies, listed):
            await self.hear_all(incarnation, companies, listed)

    def _lacks_something(self) -> bool:
        can_be_heard = len(self._store.incarnations) == 1
        return can_be_heard and not self._keeper.coverage.is_complete

    async def _refresh(self) -> None:
        backoff = Backoff(random.random)
        while True:
            try:
                await self._refresh_once()
            except Exception as error:
                # Whatever an exchange raises is a failed exchange: the next one may go well.
                if not self._is_failing:
                    log.warning("sync.totals_not_heard", error=str(error) or repr(error))
                self._is_failing = True
            else:
                if self._is_failing:
                    log.info("sync.totals_heard")
                self._is_failing = False
                if not self._lacks_something():
                    return
            await asyncio.sleep(backoff.failed() / SECOND_US)

    async def _refresh_once(self) -> None:
        began_us, incarnation = self._now(), self._store.incarnation.id
        version = await self.newest_version()
        known = self._keeper.coverage.version if version else 0
        complete = True
        async for companies in self._names(everyone=self._everyone and known > 0):
            if not version:
                await self._ask(companies)
            else:
                complete &= await self._hear_companies(companies, known)
        if self._store.incarnation.id != incarnation:
            return  # what was heard is another's
        if version and not known:
            await self._keeper.began_anew(version, began_us)
        if complete:
            await self._keeper.listed(version)

    async def _hear_companies(self, companies: Sequence[str], after_version: int) -> bool:
        incarnation = self._store.incarnation.id
        first = await self._plane.list_totals(
            incarnation, companies, after_version, "", _PAGE_SECONDS
        )
        return await self.hear_all(incarnation, companies, first, after_version=after_version)

    async def _names(self, *, everyone: bool) -> AsyncIterator[Sequence[str]]:
        """Who is to be asked for, some at a time: those in use first, then all that are held."""
        if everyone:
            yield _EVERYONE
            return
        in_use = dict.fromkeys(await self._runner.run_alone(self._directory.in_use))
        for names in pages(list(in_use), CHUNK):
            yield names
        after = ""
        while held := await self._runner.run_alone(
            partial(self._snapshots.company_ids, after, CHUNK)
        ):
            after = held[-1]
            if others := [name for name in held if name not in in_use]:
                yield others
