"""Gives seats and takes them back; the rules are in `domain/seats/rules.py`.

Who holds a seat stands in rows; how many are held is kept beside them, and on the counter of the
limit, as the plane's own part: so whatever shows usage of limits shows seats that are held.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.control.rules.attribution import limits_at
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.names import first_id
from sidecar.control.storage.port import PlaneStore, WriteTransaction
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.control.storage.witness_port import LeaseWitness, Witnessed
from sidecar.domain.bounds import EVENT_FUTURE_US_MAX, EVENT_PAST_US_MAX
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult, SeatStatus
from sidecar.domain.seats.rules import (
    SeatPool,
    SeatTerms,
    joined,
    refuses,
    seat_terms,
    swaps_decide,
    with_assigned,
    with_released,
)
from sidecar.domain.time.windows import LIFETIME_WINDOW

_LASTING: Final = LIFETIME_WINDOW.end_us


class AssignedSeats(msgspec.Struct, frozen=True):
    """Results of requests, in their order, as of a version of the ledger and an epoch.

    `revision`: of leases, after the last change; `None`: nothing changed.
    """

    results: Sequence[SeatResult]
    version: int
    epoch: str
    revision: int | None = None


def assign_seats(
    store: PlaneStore,
    timelines: KeptTimelines,
    incarnation: str,
    requests: Iterable[SeatRequest],
    witness: LeaseWitness,
    now_us: int,
) -> AssignedSeats:
    """Answer requests one after the other, all in one transaction, and have the witness know.

    Seats are none of its leases; but a database that is behind it is an older state, which has
    forgotten who was given a seat: then it has another epoch, and sidecars rely on nothing that
    they know of seats.
    """
    with store.write() as transaction:
        clerk = SeatClerk(transaction, timelines, incarnation, now_us)
        results = [clerk.answer(request) for request in requests]
        revision = transaction.next_lease_revision() if clerk.has_changed else None
        version, epoch = transaction.ledger_version(), transaction.state().epoch
    if revision is not None:
        witness.note(Witnessed(revision, now_us, {}))
    return AssignedSeats(results, version, epoch, revision)


class SeatClerk:
    """Answers requests about seats within one transaction. `incarnation`: who asks."""

    def __init__(
        self,
        transaction: WriteTransaction,
        timelines: KeptTimelines,
        incarnation: str,
        now_us: int,
    ) -> None:
        self.has_changed = False
        self._transaction = transaction
        self._timelines = timelines
        self._incarnation = incarnation
        self._now_us = now_us

    def answer(self, request: SeatRequest) -> SeatResult:
        """Do what is asked for, if it may be done."""
        oldest_us, newest_us = self._now_us - EVENT_PAST_US_MAX, self._now_us + EVENT_FUTURE_US_MAX
        at_us = min(max(request.at_us, oldest_us), newest_us)
        company = first_id(self._transaction, request.company)
        request = replace(request, company=company, at_us=at_us)
        return self._released(request) if request.is_release else self._acquired(request)

    def _acquired(self, request: SeatRequest) -> SeatResult:
        snapshot = self._timelines.deciding(self._transaction, request.company)
        index = self._timelines.index(self._transaction)
        reason = _denial(index, snapshot, request)
        if snapshot is None or (reason is not Reason.ALLOWED and not request.has_happened):
            return SeatResult(SeatStatus.DENIED, reason=reason)
        terms = terms_at(index, snapshot, request.feature, request.at_us)
        seats = {key: self._transaction.seat(key, request.holder) for key in terms}
        lacking = [key for key, seat in seats.items() if seat is None or not seat.is_held]
        if request.has_happened:
            lacking = [key for key in lacking if not _is_later(seats[key], request.at_us)]
        if not lacking:
            return self._result(SeatStatus.HELD, seats)
        pools = {key: self._transaction.seat_pool(key) for key in lacking}
        if not request.has_happened:
            waits = [
                _retry_at(key, pools[key], terms[key])
                for key in lacking
                if refuses(pools[key], terms[key], _released_us(seats[key]))
            ]
            if waits:
                result = self._result(SeatStatus.EXHAUSTED, seats)
                known = [wait for wait in waits if wait is not None]
                return replace(result, retry_at_us=max(known) if len(known) == len(waits) else None)
        version = self._transaction.next_ledger_version(self._now_us)
        for key in lacking:
            pool = with_assigned(pools[key], terms[key], _released_us(seats[key]))
            seat = Seat(_name(key), request.holder, request.at_us, version)
            self._put(key, seat, pool, 1)
            seats[key] = seat
        return self._result(SeatStatus.ASSIGNED, seats)

    def _released(self, request: SeatRequest) -> SeatResult:
        company, feature, holder = request.company, request.feature, request.holder
        snapshot = self._timelines.deciding(self._transaction, company)
        index = self._timelines.index(self._transaction)
        terms = {} if snapshot is None else terms_at(index, snapshot, feature, request.at_us)
        named = self._transaction.named_seats_of(company, feature, holder)
        if request.has_happened:
            named = [seat for seat in named if seat.assigned_us <= request.at_us]
        counted: dict[CounterKey, Seat | None] = {
            key: self._transaction.seat(key, holder)
            for key in terms
            if key.counter.window.end_us != _LASTING
        }
        if not named:
            return self._result(SeatStatus.NOT_HELD, counted)
        version = self._transaction.next_ledger_version(self._now_us)
        for seat in named:
            key = CounterKey(company, feature, seat.counter.counter)
            pool = with_released(self._transaction.seat_pool(key), terms.get(key))
            given_back = replace(seat, version=version, released_us=request.at_us)
            self._put(key, given_back, pool, -1)
            counted[key] = given_back
        return self._result(SeatStatus.RELEASED, counted)

    def _put(self, key: CounterKey, seat: Seat, pool: SeatPool, more: int) -> None:
        self.has_changed = True
        self._transaction.put_seats([seat])
        self._transaction.put_seat_pool(key, pool)
        self._transaction.add_to_counters(CORRECTIONS, {key: more}, seat.version)

    def _result(self, status: SeatStatus, seats: Mapping[CounterKey, Seat | None]) -> SeatResult:
        totals = self._transaction.totals(seats, self._incarnation)
        told = tuple(
            seat
            for seat in seats.values()
            if seat is not None and (seat.is_held or status is SeatStatus.RELEASED)
        )
        return SeatResult(status, told, tuple(totals))


def terms_at(
    index: CatalogIndex, snapshot: CompanySnapshot, feature: str, at_us: int
) -> dict[CounterKey, SeatTerms]:
    """The terms of a feature's seats at an instant, by what they are counted on."""
    found: dict[CounterKey, SeatTerms] = {}
    for limit, slot, window in limits_at(index, snapshot, feature, at_us) or ():
        key = CounterKey(snapshot.company, feature, CounterRef(slot, (), window))
        terms = seat_terms(limit, snapshot.phases, at_us)
        found[key] = joined(found[key], terms) if key in found else terms
    return found


def _denial(index: CatalogIndex, snapshot: CompanySnapshot | None, request: SeatRequest) -> Reason:
    if snapshot is None:
        return Reason.UNKNOWN_COMPANY
    entitlement = index.resolve(segment_at(snapshot, request.at_us), request.feature)
    if entitlement is None:
        return Reason.UNKNOWN_FEATURE
    if entitlement.feature.kind is not FeatureKind.SEATS:
        return Reason.NOT_ENTITLED
    return entitlement.reason


def _is_later(seat: Seat | None, at_us: int) -> bool:
    """Whether it was given back later than what is told now."""
    return seat is not None and seat.released_us is not None and seat.released_us > at_us


def _retry_at(key: CounterKey, pool: SeatPool, terms: SeatTerms) -> int | None:
    """When the window ends that a seat is lacked of."""
    if terms.swap_window is not None and swaps_decide(pool, terms):
        return terms.swap_window.end_us
    end_us = key.counter.window.end_us
    return None if end_us == _LASTING else end_us


def _released_us(seat: Seat | None) -> int | None:
    return None if seat is None else seat.released_us


def _name(key: CounterKey) -> CounterName:
    return CounterName(key.company, key.feature, key.counter)
