"""Tells those who watch what has changed.

Wake-ups stay within the process and carry no data: a watcher reads changes from the store, in
their order, by itself. Other processes on the same database are noticed by asking for the revision
every two seconds. Totals of counters are collected for a moment, read once for all watchers, and
may be dropped where a watcher does not keep up: the next push or total brings them up to date.
Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

import structlog

from sidecar.control.rpc.workers import Workers
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CounterKey, CounterState, PlaneState
from sidecar.domain.errors import TallydError
from sidecar.domain.limits.counters import CounterTotal

POLL_S: Final = 2.0
COALESCE_S: Final = 0.2
TOUCHED_MAX: Final = 10_000
TOTALS_MAX: Final = 10_000
INTERESTS_MAX: Final = 4_096
INTEREST_COMPANIES_MAX: Final = 100_000

_log = structlog.get_logger(__name__)


class Interest:
    """Companies that a sidecar may hold counters of; all of them, once they are too many."""

    def __init__(self, everything: bool = False) -> None:
        self._companies: set[str] | None = None if everything else set()

    def add(self, companies: Iterable[str]) -> None:
        """Take companies in."""
        if self._companies is not None:
            self._companies.update(companies)
            if len(self._companies) > INTEREST_COMPANIES_MAX:
                self._companies = None

    def __contains__(self, company: str) -> bool:
        return self._companies is None or company in self._companies


class Subscriber:
    """One open watch. `changed` is set when there is something to look for."""

    def __init__(self, incarnation: str, interest: Interest) -> None:
        self.incarnation = incarnation
        self.changed = asyncio.Event()
        self._interest = interest
        self._totals: dict[CounterKey, CounterTotal] = {}

    def offer(self, states: Iterable[CounterState]) -> int:
        """Take totals of the companies of interest; returns how many found no room."""
        dropped = 0
        for state in states:
            key = state.key
            if key.company not in self._interest:
                continue
            if len(self._totals) >= TOTALS_MAX and key not in self._totals:
                dropped += 1
                continue
            own = state.parts.get(self.incarnation, 0)
            self._totals[key] = CounterTotal(
                key.company,
                key.feature,
                key.counter,
                state.total,
                own,
                state.version,
                state.carried,
            )
            self.changed.set()
        return dropped

    def take_totals(self, most: int) -> list[CounterTotal]:
        """Hand out totals that wait, so many at most; empty if there are none."""
        keys = list(self._totals)[:most]
        return [self._totals.pop(key) for key in keys]


class Hub:
    """Everyone who watches, and what there is to tell them."""

    def __init__(self, workers: Workers) -> None:
        self.state = PlaneState("", 0)
        self.closing = False
        self.dropped_totals = 0
        self._workers = workers
        self._watchers: set[Subscriber] = set()
        self._interests: OrderedDict[str, Interest] = OrderedDict()
        self._touched: dict[CounterKey, str | None] = {}
        self._any_touched = asyncio.Event()

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @contextmanager
    def watching(self, incarnation: str, *, everything: bool) -> Iterator[Subscriber]:
        """Take part as a watcher: of everything, or of companies that the sidecar asks for."""
        interest = Interest(everything=True) if everything else self._interest(incarnation)
        watcher = Subscriber(incarnation, interest)
        self._watchers.add(watcher)
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)

    def note_interest(self, incarnation: str, companies: Iterable[str]) -> None:
        """Remember that a sidecar works with companies."""
        self._interest(incarnation).add(companies)

    async def refresh(self) -> None:
        """Read epoch and revision, and wake everyone if they are new."""
        state = await self._workers.read(_state)
        if state != self.state:
            self.state = state
            self._wake_all()

    def touch(self, incarnation: str, keys: Iterable[CounterKey]) -> None:
        """Note counters that a sidecar changed; the others will hear of it soon."""
        for key in keys:
            if key in self._touched:
                if self._touched[key] != incarnation:
                    self._touched[key] = None
            elif len(self._touched) < TOUCHED_MAX:
                self._touched[key] = incarnation
            else:
                self.dropped_totals += 1
        if self._touched:
            self._any_touched.set()

    def close(self) -> None:
        """End every watch."""
        self.closing = True
        self._wake_all()

    async def poll(self) -> None:
        """Look for changes by other processes, until cancelled."""
        while True:
            await asyncio.sleep(POLL_S)
            try:
                await self.refresh()
            except TallydError as error:
                _log.warning("control.revision_unreadable", error=str(error))

    async def spread_totals(self) -> None:
        """Tell watchers of counters that others changed, until cancelled."""
        while True:
            await self._any_touched.wait()
            await asyncio.sleep(COALESCE_S)
            touched, self._touched = self._touched, {}
            self._any_touched.clear()
            if not self._watchers:
                continue
            try:
                states = await self._workers.read(_counters, list(touched))
            except TallydError as error:
                _log.warning("control.totals_unreadable", error=str(error))
                continue
            for watcher in tuple(self._watchers):
                news = [state for state in states if touched[state.key] != watcher.incarnation]
                self.dropped_totals += watcher.offer(news)
                await asyncio.sleep(0)  # calls go on between watchers, however many there are

    def _interest(self, incarnation: str) -> Interest:
        interest = self._interests.setdefault(incarnation, Interest())
        self._interests.move_to_end(incarnation)
        if len(self._interests) > INTERESTS_MAX:
            self._interests.popitem(last=False)
        return interest

    def _wake_all(self) -> None:
        for watcher in self._watchers:
            watcher.changed.set()


def _state(store: PlaneStore) -> PlaneState:
    with store.read() as transaction:
        return transaction.state()


def _counters(store: PlaneStore, keys: Sequence[CounterKey]) -> list[CounterState]:
    with store.read() as transaction:
        return transaction.counters(keys)
