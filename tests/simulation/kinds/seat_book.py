"""Who has seats, by a book of its own: each answer of the plane is held against it, and the rows.

It knows sets of holders, and nothing of pools, versions and rows of the plane but those that say
who holds what.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.time.units import MINUTE_US
from tests.simulation.kinds.offers import DESKS, OFFERS, SWAPS, offer_of
from tests.simulation.leases.ceilings import Ceilings
from tests.simulation.leases.offers import MINUTE, Offer
from tests.simulation.leases.plane_store import PlaneDatabase

_HELD: Final = (
    "SELECT company, feature, slot, window_start_us, holder FROM seat WHERE released_us IS NULL"
)
_POOLS: Final = "SELECT company, feature, slot, window_start_us, held FROM seat_pool"


class Counted(NamedTuple):
    """What seats are counted on."""

    company: str
    feature: str
    slot: str
    start_us: int


class Holders:
    """Who has a seat of a counter, and who had one in a window of swaps, if that `is_sure`."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.had: set[str] = set()
        self.since_us = 0
        self.is_sure = True


Person = tuple[str, str, str]
"""Company, feature, holder."""


class SeatBook:
    """Everything about seats. `violation`: the first thing that must not be; empty for none.

    `forced`: who was given a seat by a sidecar without the plane. `gone_us`: when who had a seat
    was last known to have none, by the true time. `now`: that time.
    """

    def __init__(self, ceilings: Ceilings, now: Callable[[], int]) -> None:
        self.violation = ""
        self.forced: set[Person] = set()
        self.gone_us: dict[Person, int] = {}
        self.answers: defaultdict[str, int] = defaultdict(int)
        self._ceilings, self._now = ceilings, now
        self._counters: defaultdict[Counted, Holders] = defaultdict(Holders)

    def fail(self, what: str) -> None:
        """Note that something is not as it must be, unless something was before."""
        self.violation = self.violation or what

    def has_seat(self, person: Person) -> bool:
        """Whether somebody has a seat of a feature, of any window."""
        company, feature, holder = person
        return any(
            counted[:2] == (company, feature) and holder in holders.held
            for counted, holders in self._counters.items()
        )

    def may_have_one(self, counted: Counted, amount: int, holder: str) -> bool:
        """Whether who has none may be given a seat."""
        holders = self._counters[counted]
        is_new = holder not in holders.had
        swapped = counted.feature == OFFERS[DESKS].feature and holders.is_sure and is_new
        if swapped and len(holders.had) >= amount + SWAPS:
            return False
        return len(holders.held) < amount

    def counted_now(self, company: str, offer: Offer, at_us: int) -> Counted | None:
        """What seats of a feature are counted on at an instant, of what was asked for so far."""
        start_us = at_us // MINUTE_US * MINUTE_US if offer.window == MINUTE else 0
        of_it = [
            counted
            for counted in self._counters
            if counted[:2] == (company, offer.feature) and counted.start_us == start_us
        ]
        # A reset of usage starts another one: of several it is not known here which it is.
        if len(of_it) != 1 or not self._counters[of_it[0]].is_sure:
            return None
        self._open_window(self._counters[of_it[0]], at_us)
        return of_it[0]

    def counters(self) -> dict[Counted, set[str]]:
        """Who holds what."""
        return {counted: holders.held for counted, holders in self._counters.items()}

    def read_anew(self, store: PlaneDatabase) -> None:
        """The plane may have done something, or lost it: who has seats is what its rows say."""
        rows = _held_in(store)
        for counted in {*rows, *self._counters}:
            holders = self._counters[counted]
            for holder in holders.held - rows[counted]:
                self._is_gone(counted, holder)
            holders.held = rows[counted]
            holders.is_sure = False

    def assigned(
        self,
        request: sync_pb2.AssignSeatsRequest,
        answer: sync_pb2.AssignSeatsResponse,
        store: PlaneDatabase,
    ) -> None:
        """The plane has answered."""
        for asked, result in zip(request.requests, answer.results, strict=True):
            status = sync_pb2.SeatStatus.Name(result.status).removeprefix("SEAT_STATUS_")
            self.answers[status] += 1
            if result.totals:
                (total,) = result.totals
                self._answered(_counted(total), asked, status)
        rows = _held_in(store)
        for counted, holders in self._counters.items():
            if holders.held != rows[counted]:
                self.fail(f"{counted}: {rows[counted]} have seats, told were {holders.held}")

    def _answered(self, counted: Counted, asked: Any, status: str) -> None:
        holders, holder = self._counters[counted], asked.holder
        person = (counted.company, counted.feature, holder)
        if asked.has_happened and not asked.release:
            self.forced.add(person)
        self._open_window(holders, asked.at_us)
        is_held, told = holder in holders.held, f"{counted} {holder} {status}"
        if status == "ASSIGNED":
            if is_held:
                self.fail(f"{told}: who has a seat is given another")
            if not asked.has_happened and not self._is_free(counted, asked):
                self.fail(f"{told} though {holders.held} have seats, and {holders.had} had")
            holders.held.add(holder)
            holders.had.add(holder)
        elif status == "HELD" and not is_held and not asked.has_happened:
            self.fail(f"{told}, who has none")
        elif status == "EXHAUSTED" and (is_held or self._is_free(counted, asked, is_sure=True)):
            self.fail(f"{told} though only {holders.held} have seats, and {holders.had} had")
        elif status == "RELEASED":
            if not is_held:
                self.fail(f"{told}, who had none")
            holders.held.discard(holder)
            self._is_gone(counted, holder)
        elif status == "NOT_HELD" and is_held and not counted.start_us and not asked.has_happened:
            self.fail(f"{told}, who has one")

    def _is_free(self, counted: Counted, asked: Any, *, is_sure: bool = False) -> bool:
        """Whether there is a seat for somebody. `is_sure`: only where that is certain."""
        ceilings = self._ceilings
        if not ceilings.is_certain or (is_sure and not self._counters[counted].is_sure):
            return not is_sure
        offer = offer_of(counted.feature)
        amount = ceilings.sold.amount_at(counted.company, offer, asked.at_us)
        return self.may_have_one(counted, amount, asked.holder)

    def _open_window(self, holders: Holders, at_us: int) -> None:
        since_us = at_us // MINUTE_US * MINUTE_US
        if since_us > holders.since_us:
            holders.since_us, holders.had, holders.is_sure = since_us, set(holders.held), True
        elif since_us < holders.since_us:
            holders.is_sure = False  # clocks are apart

    def _is_gone(self, counted: Counted, holder: str) -> None:
        self.gone_us[counted.company, counted.feature, holder] = self._now()

    def listed(
        self,
        request: sync_pb2.ListSeatsRequest,
        answer: sync_pb2.ListSeatsResponse,
        store: PlaneDatabase,
    ) -> None:
        """The plane has told who holds seats."""
        counted = _counted(request.counter)
        told = [seat.holder for seat in answer.seats]
        if told != sorted(_held_in(store)[counted]):
            self.fail(f"{counted}: {told} are told to have seats")

    def at_rest(self, store: PlaneDatabase) -> None:
        """Look whether numbers of seats that are kept are those of who holds them."""
        rows = _held_in(store)
        for company, feature, slot, start_us, held in store.rows(_POOLS):
            counted = Counted(company, feature, slot, start_us)
            if held != len(rows[counted]):
                self.fail(f"{counted}: {held} seats are counted, {rows[counted]} have them")


def _counted(address: sync_pb2.CounterAddress | sync_pb2.CounterTotal) -> Counted:
    counter = address.counter
    return Counted(address.company, address.feature, counter.slot, counter.window_start_us)


def _held_in(store: PlaneDatabase) -> defaultdict[Counted, set[str]]:
    found: defaultdict[Counted, set[str]] = defaultdict(set)
    for *counted, holder in store.rows(_HELD):
        found[Counted(*counted)].add(holder)
    return found
