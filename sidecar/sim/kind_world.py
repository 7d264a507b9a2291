"""Credits, seats and levels of a world: the plane's services, and the sidecar's engine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Final

import msgspec

from sidecar.control.services.credit_balances import get_balances
from sidecar.control.services.credit_grants import (
    GrantedCredits,
    GrantWanted,
    grant_credits,
    void_grant,
)
from sidecar.control.services.credit_history import (
    HistoryEvent,
    HistoryKind,
    HistoryPlace,
    list_history,
)
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.seats import assign_seats
from sidecar.control.storage.credit_values import EntryFilter
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.witness_port import MemoryWitness
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.levels.billing import LevelBill, bill_of
from sidecar.domain.levels.changes import LevelChange
from sidecar.domain.seats.model import SeatRequest, SeatResult
from sidecar.engine.level_calls import LevelAnswer
from sidecar.engine.levels import Levels
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.seat_answers import ReleaseAnswer, SeatAnswer, SeatAsk
from sidecar.engine.seats import SeatEngine
from sidecar.sim.model import GrantCreditsStep, LevelStep, SeatStep
from sidecar.storage.counters import Counters
from sidecar.storage.level_items import LevelItem, next_expiry_us
from sidecar.storage.seats import Seats
from sidecar.storage.store import Store

_ITEMS_AT_ONCE: Final = 1_000
_EVENTS_AT_ONCE: Final = 1_000
_CHANGES_MAX: Final = 100_000


class KindSums(msgspec.Struct, frozen=True):
    """What of credits and levels there was in a stretch of time, by feature.

    `burned`: micro-credits. `levels`: of those that were in use at all. `seats`: features of seats.
    """

    burned: dict[str, int]
    levels: dict[str, LevelBill]
    seats: frozenset[str] = frozenset()

    def is_of_seats(self, feature: str) -> bool:
        """Whether a feature has seats, of which there are no usage records."""
        return feature in self.seats


NO_KINDS: Final = KindSums({}, {})
"""Of no time at all."""


def _encode(answer: LevelAnswer) -> bytes:
    """No answer is ever asked for again."""
    return b""


class KindWorld:
    """Grants, seats and levels of one company. What is granted, sidecars hear by `World.settle`."""

    def __init__(
        self, plane: SqliteStore, store: Store, directory: Directory, status: PlaneStatus
    ) -> None:
        self.expired: list[LevelItem] = []
        """Items that came back by themselves, and were not told yet."""
        self.voided: list[HistoryEvent] = []
        """Voids of grants that the plane made by itself, and that were not told yet."""
        self._plane, self._store, self._directory = plane, store, directory
        self._status = status
        self._counters = Counters(store)
        self._timelines, self._witness = KeptTimelines(), MemoryWitness()
        self._seats = Seats(store)
        self._seat_engine = SeatEngine(store, directory, status, self._seats)
        self._levels = Levels(store, directory, status, _encode)

    def grant(self, company: str, step: GrantCreditsStep, now_us: int) -> GrantedCredits:
        """Grant credits at the plane. Raises what that raises."""
        wanted = GrantWanted(company, step.feature, step.grant)
        return grant_credits(self._plane, wanted, now_us)

    def void(self, company: str, id_: str, now_us: int) -> GrantedCredits:
        """Void a grant at the plane. Raises what that raises."""
        return void_grant(self._plane, company, id_, "", now_us)

    def note_voided(self, company: str, now_us: int) -> None:
        """The plane has voided grants just now; at most a thousand are told."""
        wanted = EntryFilter(company, "", now_us, now_us + 1)
        events, _ = list_history(self._plane, wanted, HistoryPlace(), _EVENTS_AT_ONCE, now_us)
        self.voided += [event for event in events if event.kind is HistoryKind.VOIDED]

    def balances(self, company: str, now_us: int) -> dict[str, int]:
        """What can be spent of each balance, less what is owed, in micro-credits."""
        found = get_balances(self._plane, company, "", now_us)
        return {each.feature: each.balance for each in found}

    def acquire(self, company: str, step: SeatStep, now_us: int) -> SeatAnswer:
        """Ask the sidecar for a seat, which asks the plane where it has to. Raises as that does."""
        request, asked = self._seat_request(company, step, now_us)
        found = self._store.transact(lambda tx: self._seat_engine.acquire(tx, request, asked))
        if isinstance(found, SeatAsk):
            result = self._assigned(found.request, now_us)
            found = self._store.transact(lambda tx: self._seat_engine.told(tx, request, result))
        assert isinstance(found, SeatAnswer)  # nothing is needed: the company is held
        return found

    def release(self, company: str, step: SeatStep, now_us: int) -> ReleaseAnswer:
        """Give a seat back. Raises what that raises."""
        request, _ = self._seat_request(company, step, now_us)
        found = self._store.transact(lambda tx: self._seat_engine.release(tx, request))
        if isinstance(found, SeatAsk):
            result = self._assigned(found.request, now_us)
            found = self._store.transact(lambda tx: self._seat_engine.released(tx, request, result))
        return found

    def move(self, company: str, step: LevelStep, now_us: int) -> LevelAnswer:
        """Change a level at the sidecar. Raises what that raises."""
        change = LevelChange(
            company,
            step.feature,
            step.action,
            step.amount,
            now_us,
            step.item,
            step.ttl_us,
            dimensions=step.dimensions,
        )
        asked = Needs(frozenset((company,)))
        found = self._levels.change(change, now_us, asked)
        if isinstance(found, Needs):  # totals, which are heard already
            found = self._levels.change(change, now_us, asked.with_more(found))
        assert isinstance(found, LevelAnswer)  # there are no keys
        return found

    def expire(self, now_us: int) -> int:
        """Take back items whose time is over; how many."""
        items: list[LevelItem] = []
        while over := self._levels.expire(now_us, _ITEMS_AT_ONCE).items:
            items += over
        self.expired += items
        return len(items)

    def next_expiry_us(self) -> int | None:
        """When the next item comes back by itself."""
        return self._store.transact(lambda tx: next_expiry_us(self._store.engine, tx))

    def sums(self, company: str, from_us: int, until_us: int) -> KindSums:
        """What the ledger has of a stretch of time."""
        bills = dict(self._bills(company, from_us, until_us))
        seats = frozenset(self._features(FeatureKind.SEATS))
        burned: Counter[str] = Counter()
        wanted = EntryFilter(company, "", from_us, until_us)
        after = HistoryPlace() if self._features(FeatureKind.CREDITS) else None
        while after is not None:
            events, after = list_history(self._plane, wanted, after, _EVENTS_AT_ONCE, until_us)
            for event in events:
                burned[event.feature] += event.amount * (event.kind is HistoryKind.BURNED)
        return KindSums(dict(sorted((+burned).items())), bills, seats)

    def kinds(self) -> dict[str, FeatureKind]:
        """The kind of each feature of the catalog in force."""
        index = self._directory.index
        known = {} if index is None else index.features
        return {key: feature.kind for key, feature in known.items()}

    def _bills(self, company: str, from_us: int, until_us: int) -> Iterator[tuple[str, LevelBill]]:
        for feature in self._features(FeatureKind.LEVEL):
            with self._plane.read() as reading:
                before = reading.level_at(company, feature, from_us)
                changes = reading.level_changes(company, feature, from_us, until_us, _CHANGES_MAX)
            bill = bill_of(from_us, until_us, before, changes)
            if bill.peak:
                yield feature, bill

    def _features(self, kind: FeatureKind) -> list[str]:
        return sorted(key for key, found in self.kinds().items() if found is kind)

    def _seat_request(self, company: str, step: SeatStep, now_us: int) -> tuple[SeatRequest, Needs]:
        request = SeatRequest(company, step.feature, step.holder, now_us, step.is_release)
        return request, Needs(frozenset((company,)))

    def _assigned(self, request: SeatRequest, now_us: int) -> SeatResult:
        """Ask the plane, and have the store know the answer."""
        incarnation = self._store.incarnation.id
        answer = assign_seats(
            self._plane, self._timelines, incarnation, [request], self._witness, now_us
        )
        (result,) = answer.results
        self._counters.hear(incarnation, result.totals)
        self._seats.take(result.seats, answer.version, answer.epoch)
        return result
