"""Tells those who watch what has changed.

Wake-ups stay within the process and carry no data: a watcher reads changes from the store, in
their order, by itself. Changes of totals are read from the store, too, by version, once for all
watchers, after they were collected for a moment: so what is told is complete, whoever changed them.
Each watcher hears up to which version it was told everything; where it does not keep up and totals
are dropped, it sees the gap, and asks. Other processes on the same database are noticed by looking
every two seconds. Everything here runs on the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

import structlog

from sidecar.control.rpc.workers import Workers
from sidecar.control.services.totals import changes, newest_version, total_told
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import (
    CounterKey,
    CounterState,
    PlaneState,
    TotalsPosition,
)
from sidecar.domain.errors import TallydError, Unavailable
from sidecar.domain.limits.counters import CounterTotal

POLL_S: Final = 2.0
COALESCE_S: Final = 0.2
PUSHED_MAX: Final = 10_000
"""Counters of which it is remembered who changed them; of others the one who did is told, too."""
TOTALS_MAX: Final = 10_000
RECALLS_MAX: Final = 10_000
"""Leases that wait for one watcher to be told to give them back; who lacks one asks again."""
CHANGES_AT_ONCE: Final = 2_000
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
    """One open watch. `changed` is set when there is something to look for.

    `version`: of the ledger, as far as changes were read when it began.
    """

    def __init__(self, incarnation: str, interest: Interest, version: int) -> None:
        self.incarnation = incarnation
        self.changed = asyncio.Event()
        self._interest = interest
        self._totals: dict[CounterKey, CounterTotal] = {}
        self._recalls: dict[CounterKey, None] = {}
        self._after, self._until = version, version

    def offer(self, states: Iterable[CounterState], until: int) -> int:
        """Take totals of the companies of interest; returns how many found no room.

        `until`: with these, all changes up to this version were offered.
        """
        dropped = 0
        for state in states:
            key = state.key
            if key.company not in self._interest:
                continue
            if len(self._totals) >= TOTALS_MAX and key not in self._totals:
                dropped += 1
                self._after = max(self._after, state.version)
                continue
            self._totals[key] = total_told(self.incarnation, state)
            self.changed.set()
        self._until = until
        return dropped

    def skip(self, version: int) -> None:
        """Changes up to a version are not offered: they were not read, as nobody watched."""
        self._after = max(self._after, version)

    def take_totals(self, most: int) -> list[CounterTotal]:
        """Hand out totals that wait, so many at most; empty if there are none."""
        keys = list(self._totals)[:most]
        return [self._totals.pop(key) for key in keys]

    def recall(self, key: CounterKey) -> None:
        """Have the watcher asked to give back what it does not need of a counter."""
        if len(self._recalls) < RECALLS_MAX:
            self._recalls[key] = None
            self.changed.set()

    def take_recalls(self, most: int) -> list[CounterKey]:
        """Hand out counters of which leases are asked back, so many at most."""
        keys = list(itertools.islice(self._recalls, most))
        for key in keys:
            del self._recalls[key]
        return keys

    def take_told(self) -> tuple[int, int]:
        """After and up to which version everything was handed out; zeros where it cannot be said.

        What is said is said once: the next time, it goes on from there.
        """
        if self._totals or self._until < self._after:
            return 0, 0
        told = self._after, self._until
        self._after = self._until
        return told


class Hub:
    """Everyone who watches, and what there is to tell them."""

    def __init__(self, workers: Workers) -> None:
        self.state = PlaneState("", 0)
        self.closing = False
        self.dropped_totals = 0
        self._is_dropping = False
        self._workers = workers
        self._watchers: set[Subscriber] = set()
        self._watching: frozenset[str] | None = None
        self._interests: OrderedDict[str, Interest] = OrderedDict()
        self._pushed: dict[CounterKey, tuple[str, int]] = {}
        self._any_change = asyncio.Event()
        self._position: TotalsPosition | None = None

    @property
    def watchers(self) -> int:
        """How many watch."""
        return len(self._watchers)

    @contextmanager
    def watching(self, incarnation: str, *, everything: bool) -> Iterator[Subscriber]:
        """Take part as a watcher: of everything, or of companies that the sidecar asks for."""
        interest = Interest(everything=True) if everything else self._interest(incarnation)
        watcher = Subscriber(incarnation, interest, self._version())
        self._watchers.add(watcher)
        self._watching = None
        try:
            yield watcher
        finally:
            self._watchers.discard(watcher)
            self._watching = None

    def note_interest(self, incarnation: str, companies: Iterable[str]) -> None:
        """Remember that a sidecar works with companies."""
        self._interest(incarnation).add(companies)

    async def refresh(self) -> None:
        """Read epoch and revision, and wake everyone if they are new."""
        if self._position is None:
            self._position = TotalsPosition(await self._workers.read(newest_version))
        state = await self._workers.read(_state)
        if state != self.state:
            self.state = state
            self._wake_all()

    def pushed(self, incarnation: str, totals: Iterable[CounterTotal]) -> None:
        """A sidecar changed counters, and was told their totals; the others will hear of it soon.

        That it was told is a hint: without it, it is told once more.
        """
        for total in totals:
            if len(self._pushed) == PUSHED_MAX:
                break
            key = CounterKey(total.company, total.feature, total.counter)
            self._pushed[key] = (incarnation, total.version)
        self._any_change.set()

    def note_change(self) -> None:
        """Counters were changed, by the plane itself."""
        self._any_change.set()

    @property
    def watching_incarnations(self) -> frozenset[str]:
        """Who watches here."""
        if self._watching is None:
            self._watching = frozenset(watcher.incarnation for watcher in self._watchers)
        return self._watching

    def recall(self, recalls: Iterable[tuple[str, CounterKey]]) -> int:
        """Ask holders to give back leases; how many of these can be asked, since they watch."""
        wanted: dict[str, list[CounterKey]] = {}
        for incarnation, key in recalls:
            wanted.setdefault(incarnation, []).append(key)
        asked = set()
        for watcher in self._watchers if wanted else ():
            for key in wanted.get(watcher.incarnation, ()):
                watcher.recall(key)
                asked.add((watcher.incarnation, key))
        return len(asked)

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
            except Unavailable:
                pass  # told as a trouble of the database
            except TallydError as error:
                _log.warning("control.revision_unreadable", error=str(error))

    async def spread_totals(self) -> None:
        """Tell watchers of counters that others changed, until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._any_change.wait(), POLL_S)
            await asyncio.sleep(COALESCE_S)
            self._any_change.clear()
            try:
                await self._spread()
            except Unavailable:
                pass  # as above
            except TallydError as error:
                _log.warning("control.totals_unreadable", error=str(error))

    async def _spread(self) -> None:
        """Tell what changed since the last time, a page at a time."""
        pushed, self._pushed = self._pushed, {}
        dropped_before = self.dropped_totals
        if not self._watchers:
            version = await self._workers.read(newest_version)
            self._position = TotalsPosition(version)
            for watcher in self._watchers:  # who came meanwhile
                watcher.skip(version)
            return
        more = True
        while more and self._watchers:
            after = self._position
            assert after is not None, "it was read before anybody could watch"
            states, version = await self._workers.read(changes, after, CHANGES_AT_ONCE)
            more = len(states) == CHANGES_AT_ONCE
            # Of the last one's version there may be more.
            self._position = TotalsPosition(version)
            if more:
                self._position = TotalsPosition(states[-1].version, states[-1].key)
            for watcher in tuple(self._watchers):
                mine = watcher.incarnation
                news = [state for state in states if pushed.get(state.key) != (mine, state.version)]
                self.dropped_totals += watcher.offer(news, self._version())
                await asyncio.sleep(0)  # calls go on between watchers, however many there are
        self._tell_dropped(self.dropped_totals - dropped_before)

    def _tell_dropped(self, dropped: int) -> None:
        """Log where watchers begin not to keep up, and where they do again."""
        if dropped and not self._is_dropping:
            _log.warning("control.totals_dropped", totals=dropped)
        elif self._is_dropping and not dropped:
            _log.info("control.totals_told", dropped=self.dropped_totals)
        self._is_dropping = dropped > 0

    def _version(self) -> int:
        """Version of the ledger up to which all changes were read."""
        position = self._position
        assert position is not None, "it was read before anybody could watch"
        return position.version - (position.key is not None)

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
