"""The rest of totals: what a company's users have counted goes on being heard once it is held.

An answer that brings a company has the first page of its totals. What is behind that grows with the
company, so no call waits for it: until it is through, what a check counts on is asked for alone
(`PlaneStatus.part_heard`). A page of each such answer in turn: none waits for one that is larger.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec
import structlog

from sidecar.domain.time.units import SECOND_US
from sidecar.shared.backoff import Backoff
from sidecar.storage.store import Store
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_answers import ListedTotals, PlaneAway

PART_HEARD_MAX: Final = 10_000
"""Most companies that are held while totals of theirs are on their way; more have to wait."""
_PAGE_SECONDS: Final = 20.0
_FROM_THE_FIRST: Final = ""

log = structlog.get_logger(__name__)


class _Rest(msgspec.Struct, frozen=True):
    """Where the totals of some companies go on, that were listed at a version of the ledger."""

    companies: Sequence[str]
    version: int
    token: str


class RestOfTotals:
    """Hears, in the background, the pages behind the first until it has heard the last."""

    def __init__(
        self, store: Store, plane: PlaneClient, hearing: TotalsApplier, keeper: CoverageKeeper
    ) -> None:
        self._store = store
        self._plane = plane
        self._hearing = hearing
        self._keeper = keeper
        self._rests: deque[_Rest] = deque()
        self._task: asyncio.Task[None] | None = None
        self._is_failing = False

    async def begin(self, companies: Sequence[str], listed: ListedTotals) -> bool:
        """Go on behind a page of companies that are about to be held; False: they are too many."""
        if self._keeper.part_heard + len(companies) > PART_HEARD_MAX:
            return False
        # A plane that says no version tells of none that is older.
        rest = _Rest(companies, max(1, listed.version), listed.next_token)
        await self._keeper.heard_in_part(rest.companies, rest.version)
        self._rests.append(rest)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._hear())
        return True

    async def _hear(self) -> None:
        backoff = Backoff(random.random)
        while self._rests:
            rest = self._rests.popleft()
            try:
                token = await self._hear_page(rest)
            except Exception as error:
                # Whatever an exchange raises is a failed exchange: the next one may go well. From
                # the first page on, since a plane that was restored may not know this one.
                self._rests.append(msgspec.structs.replace(rest, token=_FROM_THE_FIRST))
                if not self._is_failing:
                    log.warning("sync.rest_of_totals_not_heard", error=str(error) or repr(error))
                self._is_failing = True
                await asyncio.sleep(backoff.failed() / SECOND_US)
                continue
            if self._is_failing:
                log.info("sync.rest_of_totals_heard")
            self._is_failing = False
            backoff.succeeded()
            if token:
                self._rests.append(msgspec.structs.replace(rest, token=token))
            else:
                await self._keeper.heard_whole(rest.companies, rest.version)

    async def _hear_page(self, rest: _Rest) -> str:
        """Hear a page, and where it goes on; empty behind the last."""
        incarnation = self._store.incarnation.id
        listed = await self._plane.list_totals(
            incarnation, rest.companies, 0, rest.token, _PAGE_SECONDS
        )
        if not await self._hearing.hear(incarnation, listed.totals):
            raise PlaneAway("totals were not taken: the incarnation is, or was, another")
        return listed.next_token
