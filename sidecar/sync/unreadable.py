"""Companies whose news cannot be read: told once, passed over, and asked for again by themselves.

So the news of one company never keep those of others away. Until all can be read, the position in
the store stays where it was: a sidecar that is started anew hears of them again.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Final

import structlog

from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.backoff import Backoff

ASKED_AT_ONCE: Final = 20
REMEMBERED_MAX: Final = 10_000
"""Most companies that are asked for again; of more, a start anew brings the news."""

log = structlog.get_logger(__name__)


class UnreadableCompanies:
    """Which they are. `ask` gets some again, and says here what came of it."""

    def __init__(self, ask: Callable[[Sequence[str]], Awaitable[None]]) -> None:
        self._ask = ask
        self._names: dict[str, None] = {}
        self._overflowed = False
        self._task: asyncio.Task[None] | None = None

    def __bool__(self) -> bool:
        return bool(self._names) or self._overflowed

    def __len__(self) -> int:
        return len(self._names)

    def others(self, companies: Iterable[str]) -> list[str]:
        """Those of some companies that are not among these."""
        return [company for company in companies if company not in self._names]

    def told(
        self,
        read: Iterable[CompanySnapshot],
        gone: Iterable[str],
        unreadable: Mapping[str, str],
    ) -> None:
        """What the plane told: snapshots, companies that it does not have, and what is unread."""
        self._heard([*(snapshot.company for snapshot in read), *gone])
        self._note(unreadable)

    def _note(self, found: Mapping[str, str]) -> None:
        if found and not self:
            company, error = next(iter(found.items()))
            log.error(
                "sync.companies_unreadable", company=company, error=error, companies=len(found)
            )
        for company in found:
            if len(self._names) < REMEMBERED_MAX:
                self._names[company] = None
            else:
                self._overflowed = True
        if self._names and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._ask_again())

    def _heard(self, companies: Iterable[str]) -> None:
        before = len(self._names)
        for company in companies:
            self._names.pop(company, None)
        if before and not self:
            log.info("sync.companies_readable")

    async def aclose(self) -> None:
        """Ask no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _ask_again(self) -> None:
        backoff = Backoff(random.random)
        while self._names:
            await asyncio.sleep(backoff.failed() / SECOND_US)
            some = list(islice(self._names, ASKED_AT_ONCE))
            for company in some:  # those that stay unreadable are behind the others the next time
                if company in self._names:
                    del self._names[company]
                    self._names[company] = None
            try:
                await self._ask(some)
            except Exception as error:
                # Whatever an exchange raises is a failed exchange; of those the watch tells.
                log.debug("sync.companies_not_asked_for", error=repr(error))
