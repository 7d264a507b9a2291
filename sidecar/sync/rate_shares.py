"""Sharing rates: carries out what the rate share machine says, on the store and at the plane."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import structlog

from sidecar.domain.catalog.model import Rate
from sidecar.domain.slices import pages
from sidecar.engine.rate_sharing import RateSharing, move_share, reading_of
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_slices
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.sharing import StoredSharing, write_sharing
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.sync.machine.rate_share_actions import (
    ShareMove,
    ShareReading,
    ShareRest,
    TakeAsked,
    TellShares,
)
from sidecar.sync.machine.rate_shares import RateShareMachine
from sidecar.sync.plane_answers import PlaneAway, PlaneLacks
from sidecar.sync.rate_calls import RateCalls
from sidecar.sync.resting import rest

_CALL_SECONDS: Final = 5.0
_AT_ONCE: Final = 100
"""Buckets that one step on the store looks at."""

log = structlog.get_logger(__name__)


class RateSharer:
    """Shares rates with other sidecars, for as long as `run` is running.

    `kept`: what the store knows, this start of a process included. `now`: the time gone by;
    `ticks`: a counter of microseconds.
    `moved`: how many shares became others.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        calls: RateCalls,
        machine: RateShareMachine,
        sharing: RateSharing,
        kept: StoredSharing,
        *,
        now: Callable[[], int],
        ticks: Callable[[], int] = ticks_us,
    ) -> None:
        self.machine = machine
        self._store = store
        self._runner = runner
        self._calls = calls
        self._sharing = sharing
        self._kept = kept
        self._now = now
        self._ticks = ticks
        self._incarnation = store.incarnation.id
        self._wake = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._told: set[type[Exception]] = set()
        self.moved = 0
        sharing.share_among(kept.sidecars)

    @property
    def sidecars(self) -> int:
        """How many share rates, as far as is known; 0 where the plane shares none."""
        return self._kept.sidecars

    async def run(self) -> None:
        """Share until cancelled."""
        self._sharing.on_first = self._first_asked
        try:
            await self._keep(self._kept.sidecars)
            while True:
                until_us = await self.act()
                if until_us is not None:
                    self._wake.clear()
                    await rest(self._wake, until_us - self._ticks())
        finally:
            self._sharing.on_first = None

    def connected(self) -> None:
        """The plane can be reached again."""
        self.machine.connected()
        self._wake.set()

    def _first_asked(self) -> None:
        # On the store's thread: another one with durability `disk`.
        self._loop.call_soon_threadsafe(self._asked_first)

    def _asked_first(self) -> None:
        self.machine.first_asked(self._ticks())
        self._wake.set()

    async def act(self) -> int | None:
        """Do what is next; until when to rest then, `None`: something is to be done still."""
        if self._store.incarnation.id != self._incarnation:
            self._incarnation = self._store.incarnation.id
            self.machine.left()
            self._sharing.told_of.clear()
        action = self.machine.next_action(self._ticks())
        if isinstance(action, ShareRest):
            return action.until_us
        if isinstance(action, TakeAsked):
            await in_slices(self.machine.looked(self._ticks(), self._sharing.take()))
        else:
            await self._tell(action)
        return None

    async def _tell(self, action: TellShares) -> None:
        incarnation = self._incarnation
        try:
            readings: list[tuple[bytes, ShareReading]] = []
            for page in pages(action.rates, _AT_ONCE):
                read = partial(self._readings, page, action.lets_go)
                readings += await self._runner.run_alone(read)
            number, demands, complete = self.machine.request(self._ticks(), readings)
            told = await self._calls.share(
                incarnation,
                number,
                demands,
                self.machine.table,
                complete=complete,
                seconds=_CALL_SECONDS,
            )
            if incarnation != self._store.incarnation.id:
                return
            moves = self.machine.answered(self._ticks(), told.shares, told.wanted, told.table)
            for some in pages(moves, _AT_ONCE):
                fills = await self._runner.run_alone(partial(self._move, some))
                self.machine.taken(some, fills)
            self.moved += len(moves)
            await self._keep(told.sidecars)
            self._told.clear()
        except PlaneLacks:
            self.machine.lacks(self._ticks())
            await self._keep(0)
        except Exception as error:
            # Whatever an exchange raises is a failed exchange: the next one may go well.
            self.machine.failed(self._ticks())
            self._note(error)

    def _note(self, error: Exception) -> None:
        """Log what is not an outage, which others tell, once until it goes well again."""
        if not isinstance(error, PlaneAway) and type(error) not in self._told:
            self._told.add(type(error))
            log.warning("sync.rates_not_shared", error=str(error) or repr(error))

    def _readings(
        self, rates: Sequence[tuple[bytes, Rate]], lets_go: frozenset[bytes]
    ) -> list[tuple[bytes, ShareReading]]:
        def work(step: Transaction) -> list[tuple[bytes, ShareReading]]:
            now_us = self._now()
            found = []
            for key, rate in rates:
                reading = reading_of(step, self._sharing, key, rate, now_us, lets_go=key in lets_go)
                found.append((key, ShareReading(*reading)))
            return found

        return self._store.transact(work)

    def _move(self, moves: Sequence[ShareMove]) -> list[int]:
        def work(step: Transaction) -> list[int]:
            now_us, sharing = self._now(), self._sharing
            return [
                move_share(step, sharing, move.key, move.rate, move.from_ppm, move.share, now_us)
                for move in moves
            ]

        return self._store.transact(work)

    async def _keep(self, sidecars: int) -> None:
        """Go by how many share, and have the disk know."""
        kept = StoredSharing(sidecars, self._kept.starts)
        if kept != self._kept or self._sharing.sidecars != sidecars:
            await self._runner.run_alone(partial(write_sharing, self._store, kept))
            self._kept = kept
        self._sharing.share_among(sidecars)
