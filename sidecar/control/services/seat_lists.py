"""Tells who holds seats, and what of them has changed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from sidecar.control.rules.attribution import CountedLimit, limits_at
from sidecar.control.services.directory import no_company
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.names import first_id
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import FeatureKind
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.errors import InvalidInput, NotFound
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.nearest import lacks
from sidecar.domain.seats.model import Seat, SeatsTold
from sidecar.domain.seats.rules import SeatPool, SeatTerms, seat_terms

CHANGES_AT_ONCE: Final = 1_000


class SeatPlace(msgspec.Struct, frozen=True):
    """Where a list goes on: behind a holder of the limit of a number, in the windows of `at_us`."""

    at_us: int
    limit: int = 0
    holder: str = ""


class SeatLimitUse(msgspec.Struct, frozen=True):
    """A limit on seats, its terms at an instant, and how many seats are held of it."""

    counted: CountedLimit
    terms: SeatTerms
    pool: SeatPool


class SeatPage(msgspec.Struct, frozen=True):
    """Seats, each with the number of its limit; `after`: where it goes on, `None` for the last."""

    limits: Sequence[SeatLimitUse]
    seats: Sequence[tuple[int, Seat]]
    after: SeatPlace | None


def list_seats(
    store: PlaneStore, company: str, feature: str, place: SeatPlace, most: int
) -> SeatPage:
    """A page of a company's seats behind a place.

    Raises `NotFound` for a company or a feature that is not there, `InvalidInput` for a feature
    without seats.
    """
    with store.read() as transaction:
        index, snapshot = deciding(transaction, company, feature)
        limits = [
            SeatLimitUse(
                each,
                seat_terms(each.limit, snapshot.phases, place.at_us),
                transaction.seat_pool(_key(snapshot.company, feature, each)),
            )
            for each in limits_at(index, snapshot, feature, place.at_us) or ()
        ]
        seats: list[tuple[int, Seat]] = []
        for number in range(place.limit, len(limits)):
            behind = place.holder if number == place.limit else ""
            key = _key(snapshot.company, feature, limits[number].counted)
            found = transaction.seats_after(key, behind, most - len(seats) + 1)
            for seat in found:
                if len(seats) == most:
                    number_before, last = seats[-1]
                    after = SeatPlace(place.at_us, number_before, last.holder)
                    return SeatPage(limits, seats, after)
                seats.append((number, seat))
        return SeatPage(limits, seats, None)


def deciding(
    transaction: ReadTransaction, company: str, feature: str
) -> tuple[CatalogIndex, CompanySnapshot]:
    """Catalog and timeline that decide about a company's seats; raises as `list_seats` does."""
    timelines = KeptTimelines()
    index = timelines.index(transaction)
    snapshot = timelines.deciding(transaction, first_id(transaction, company))
    if snapshot is None:
        raise no_company(transaction, company)
    require_seats(index, feature)
    return index, snapshot


def require_seats(index: CatalogIndex, feature: str) -> None:
    """Raise `NotFound` for a feature that is not there, `InvalidInput` for one without seats."""
    known = index.features.get(feature)
    if known is None:
        raise NotFound("feature", lacks("feature", feature, index.features))
    if known.kind is not FeatureKind.SEATS:
        kind = known.kind.name
        raise InvalidInput("feature", f"{feature!r} is {kind}, not SEATS")


def page_of_counter(
    store: PlaneStore, key: CounterKey, behind: str, most: int
) -> tuple[list[Seat], bool]:
    """Seats of a counter behind a holder, and whether there are more."""
    with store.read() as transaction:
        found = transaction.seats_after(key, behind, most + 1)
    return found[:most], len(found) > most


def seats_held(store: PlaneStore, most: int) -> list[tuple[str, int]]:
    """How many named seats are held, by feature."""
    with store.read() as transaction:
        return transaction.seats_held(most)


def seat_changes(store: PlaneStore, version: int, epoch: str, *, alone: bool = False) -> SeatsTold:
    """What has changed since a version of an epoch; see `SeatsTold`.

    `alone`: where nothing of before is known, only what changes from here on is told.
    """
    with store.read() as transaction:
        newest, known_epoch = max(1, transaction.ledger_version()), transaction.state().epoch
        forgotten = transaction.seats_forgotten_version()
        is_anew = version == 0 or epoch != known_epoch or not forgotten <= version <= newest
        if is_anew and alone:
            return SeatsTold(known_epoch, (), newest, is_anew=True)
        changes = tuple(transaction.seat_changes(0 if is_anew else version, CHANGES_AT_ONCE))
    until = changes[-1].version if len(changes) >= CHANGES_AT_ONCE else newest
    return SeatsTold(known_epoch, changes, until, is_anew=is_anew)


def _key(company: str, feature: str, each: CountedLimit) -> CounterKey:
    return CounterKey(company, feature, CounterRef(each.slot, (), each.window))
