"""Seats in tests: an independent model of them, and sidecars with a plane but no network."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final
from uuid import UUID

from sidecar.control.services import apply
from sidecar.control.services.apply import Desired
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.seat_lists import seat_changes
from sidecar.control.services.seats import AssignedSeats, assign_seats
from sidecar.control.storage.sqlite.store import SqliteStore
from sidecar.control.storage.witness_port import MemoryWitness
from sidecar.domain.catalog.kinds import Swaps
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    FailAction,
    FailPolicy,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.company.model import Company
from sidecar.domain.seats.model import SeatRequest, SeatResult, SeatStatus
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.engine.needs import Needs
from sidecar.engine.seat_answers import ReleaseAnswer, SeatAnswer, SeatAsk
from sidecar.engine.seats import SeatEngine
from sidecar.storage.seats import SeatPosition, Seats
from tests.support.build import DAY, HARD, LIFETIME, company, limit
from tests.support.inside import Inside

NAMED: Final = limit("named", 3, HARD, LIFETIME)
ACTIVE: Final = limit("active", 3, HARD, DAY)
SWAPPED: Final = Limit("named", LIFETIME, 3, swaps=Swaps(1, WindowSpec(WindowUnit.DAY)))

_ANYBODY: Final = str(UUID(int=0xA))


def seats_catalog(
    *limits: Limit, no_lease: FailAction = FailAction.DENY, plan: str = "basic"
) -> Catalog:
    """A catalog whose feature `members` has seats."""
    policy = FailPolicy(no_lease=no_lease)
    grant = EntitlementGrant("members", limits=limits)
    features = (
        Feature("calls", FeatureKind.METERED),
        Feature("members", FeatureKind.SEATS, fail_policy=policy),
    )
    return Catalog(features, (Plan(plan, entitlements=(grant,)),))


class SeatModel:
    """Who has seats by one limit, worked out from all that ever happened. `day_us`: of windows."""

    def __init__(self, of: Limit, day_us: int) -> None:
        self.amount = of.amount
        self._is_named = of.window == LIFETIME
        self._swaps = None if of.swaps is None else of.swaps.amount
        self._day_us = day_us
        self._log: list[tuple[int, str, bool]] = []

    def held(self, at_us: int) -> set[str]:
        """Who has a seat at an instant, as it is after all that happened."""
        held = set[str]()
        for when_us, holder, takes in self._log:
            if not self._is_named and when_us // self._day_us != at_us // self._day_us:
                continue
            held = held | {holder} if takes else held - {holder}
        return held

    def refuses(self, holder: str, at_us: int) -> bool:
        """Whether a holder is refused."""
        held = self.held(at_us)
        if self.amount is None or holder in held:
            return False
        if len(held) >= self.amount:
            return True
        if self._swaps is None:
            return False
        start_us = at_us - at_us % self._day_us
        left = {who for when, who, takes in self._log if not takes and when >= start_us}
        had = held | left
        return holder not in had and len(had) >= self.amount + self._swaps

    def take(self, holder: str, at_us: int) -> bool:
        """A holder gets a seat; whether it is a new one."""
        is_new = holder not in self.held(at_us)
        if is_new:
            self._log.append((at_us, holder, True))
        return is_new

    def give_back(self, holder: str, at_us: int) -> bool:
        """A holder gives a named seat back; whether there was one."""
        if not self._is_named or holder not in self.held(at_us):
            return False
        self._log.append((at_us, holder, False))
        return True


class SeatPlane:
    """A plane's seats in memory."""

    def __init__(self, content: Catalog, *companies: Company, now_us: int) -> None:
        self.store = SqliteStore()
        self.witness = MemoryWitness()
        self._timelines = KeptTimelines()
        self.apply(content, *companies, now_us=now_us)

    def apply(self, content: Catalog, *companies: Company, now_us: int) -> None:
        apply.apply(self.store, Desired(content, companies or (company(),)), now_us)

    def ask(self, incarnation: str, *requests: SeatRequest, now_us: int) -> AssignedSeats:
        """Answer requests."""
        return assign_seats(
            self.store, self._timelines, incarnation, requests, self.witness, now_us
        )


class SeatSidecar:
    """A sidecar's seats, and its plane; `None`: it decides alone."""

    def __init__(self, inside: Inside, plane: SeatPlane | None = None) -> None:
        self.inside = inside
        self.plane = plane
        self.is_away = False
        self.asked = 0
        self.open()

    def open(self) -> None:
        """As a start does."""
        inside = self.inside
        self.seats = Seats(inside.opened.store)
        self.engine = SeatEngine(
            inside.opened.store, inside.directory, inside.plane_status, self.seats
        )

    def acquire(self, holder: str, company: str = "acme") -> SeatAnswer:
        """Ask for a seat, of the plane where that is needed."""
        request = SeatRequest(company, "members", holder, self.inside.now_us)
        transact = self.inside.opened.store.transact
        result = transact(lambda step: self.engine.acquire(step, request, _had(company)))
        assert not isinstance(result, Needs)
        if isinstance(result, SeatAsk):
            told = self._ask(result.request)
            result = transact(lambda step: self.engine.told(step, request, told))
            assert isinstance(result, SeatAnswer)
        return result

    def release(self, holder: str, company: str = "acme") -> ReleaseAnswer:
        """Give a seat back."""
        request = SeatRequest(company, "members", holder, self.inside.now_us, is_release=True)
        transact = self.inside.opened.store.transact
        result = transact(lambda step: self.engine.release(step, request))
        if isinstance(result, SeatAsk):
            told = self._ask(request)
            return transact(lambda step: self.engine.released(step, request, told))
        return result

    def hear(self, follows: Callable[[str], bool] | None = None) -> None:
        """Hear all changes."""
        assert self.plane is not None
        while True:
            position = self.seats.position
            told = seat_changes(self.plane.store, position.version, position.epoch)
            if told.is_anew:
                self.seats.begin_anew(told.epoch)
            generation = self.seats.position.generation
            reached = SeatPosition(told.epoch, told.until_version, generation)
            self.seats.hear(told.changes, reached, follows)
            if not told.changes:
                return

    def tell(self) -> None:
        """Tell the plane what was done without it."""
        requests = self.seats.untold(1_000)
        for request in requests:
            self._ask(request)
        self.seats.are_told(requests)

    def _ask(self, request: SeatRequest) -> SeatResult | None:
        if self.is_away or self.plane is None:
            return None
        self.asked += 1
        store = self.inside.opened.store
        answer = self.plane.ask(_ANYBODY, request, now_us=self.inside.now_us)
        (result,) = answer.results
        self.inside.opened.counters.hear(store.incarnation.id, result.totals)
        self.seats.take(result.seats, answer.version, answer.epoch)
        return result


def status_of(answer: SeatAnswer) -> SeatStatus | str:
    """What an answer says."""
    if not answer.decision.allowed:
        return answer.decision.reason.name
    return SeatStatus.ASSIGNED if answer.assigned else SeatStatus.HELD


def _had(company: str) -> Needs:
    return Needs(frozenset((company,)))
