"""Refreshing totals: what others counted while there was no watch is not told again by itself."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from sidecar.directory.directory import Directory
from sidecar.domain.errors import FieldError
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.runner import Runner
from sidecar.shared.backoff import Backoff
from sidecar.storage.snapshots import Snapshots
from sidecar.sync.plane import PlaneAway

CHUNK: Final = 200
"""Companies that are asked for at once."""


class TotalsRefresh:
    """Asks for the totals of companies, in the background.

    Of all that are held the first time, as the store may be old; after that of those that are used.
    `ask` gets the totals of some companies; `away` is told why that failed.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        directory: Directory,
        runner: Runner,
        ask: Callable[[Sequence[str]], Awaitable[None]],
        away: Callable[[str], None],
    ) -> None:
        self._snapshots = snapshots
        self._directory = directory
        self._runner = runner
        self._ask = ask
        self._away = away
        self._task: asyncio.Task[None] | None = None
        self._all_heard = False
        self._unheard: set[str] = set()

    async def note_in_use(self) -> None:
        """Note who is used before changes are applied: those make the directory forget it."""
        self._unheard.update(await self._runner.run_alone(self._directory.in_memory))

    def heard_all(self) -> None:
        """The totals of everyone came along with the watch."""
        self._all_heard = True
        self._unheard.clear()

    def start(self) -> None:
        """Refresh in the background, until it is done; what was under way begins anew."""
        if self._task is not None:
            self._task.cancel()
        self._task = asyncio.create_task(self._refresh())

    async def _refresh(self) -> None:
        backoff = Backoff(random.random)
        while True:
            try:
                await self._refresh_once()
                return
            except (PlaneAway, FieldError) as error:
                self._away(str(error))
            await asyncio.sleep(backoff.failed() / SECOND_US)

    async def _refresh_once(self) -> None:
        await self.note_in_use()
        while names := list(islice(self._unheard, CHUNK)):
            await self._ask(names)
            self._unheard.difference_update(names)
        if self._all_heard:
            return
        after = ""
        while held := await self._runner.run_alone(
            partial(self._snapshots.company_ids, after, CHUNK)
        ):
            await self._ask(held)
            after = held[-1]
        self._all_heard = True
