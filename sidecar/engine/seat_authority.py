"""Gives seats where there is no control plane: this process decides alone, by the same rules."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec.structs import replace

from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.limits.requests import NO_ATTRIBUTES
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
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.storage.seats import Seats, StoredSeat, count_seats
from sidecar.storage.transaction import Transaction

_LASTING: Final = LIFETIME_WINDOW.end_us


class Refusal(NamedTuple):
    """That no seat is given. `retry_at_us`: when the window ends that it is lacked of, if any."""

    retry_at_us: int | None


class _Place(NamedTuple):
    """Where seats are counted, and by what they are given."""

    window: Window
    terms: SeatTerms


class SeatAuthority:
    """Gives seats and takes them back. Runs on the thread that owns the store."""

    def __init__(self, seats: Seats) -> None:
        self._seats = seats

    def refusal(
        self,
        step: Transaction,
        company: ResolvedCompany,
        feature: ResolvedFeature,
        holder: str,
        now_us: int,
    ) -> Refusal | None:
        """Why a holder is refused a seat; `None`: he may have it."""
        waits: list[int | None] = []
        for _, place, pool, seat in self._lacking(step, company, feature, holder, now_us):
            if refuses(pool, place.terms, None if seat is None else seat.released_us):
                waits.append(_retry_at(place, pool))
        if not waits:
            return None
        known = [wait for wait in waits if wait is not None]
        return Refusal(max(known) if len(known) == len(waits) else None)

    def assign(
        self,
        step: Transaction,
        company: ResolvedCompany,
        feature: ResolvedFeature,
        holder: str,
        now_us: int,
    ) -> None:
        """Give a holder the seats that he lacks."""
        for key, place, pool, seat in self._lacking(step, company, feature, holder, now_us):
            end_us = place.window.end_us
            released_us = None if seat is None else seat.released_us
            self._seats.put(step, key, holder, StoredSeat(end_us, now_us, 0, 0))
            self._seats.put_pool(step, key, end_us, with_assigned(pool, place.terms, released_us))
            count_seats(step, key, end_us, 1)

    def release(
        self,
        step: Transaction,
        company: ResolvedCompany,
        feature: ResolvedFeature,
        holder: str,
        now_us: int,
    ) -> bool:
        """Take a named seat back; whether there was one."""
        released = False
        for key, place in self._places(company, feature, now_us).items():
            seat = self._seats.held(step, key, holder)
            if seat is None or place.window.end_us != _LASTING:
                continue
            self._seats.put(step, key, holder, replace(seat, released_us=now_us))
            pool = with_released(self._seats.pool(step, key), place.terms)
            self._seats.put_pool(step, key, _LASTING, pool)
            count_seats(step, key, _LASTING, -1)
            released = True
        return released

    def _lacking(
        self,
        step: Transaction,
        company: ResolvedCompany,
        feature: ResolvedFeature,
        holder: str,
        now_us: int,
    ) -> Iterator[tuple[bytes, _Place, SeatPool, StoredSeat | None]]:
        for key, place in self._places(company, feature, now_us).items():
            seat = self._seats.known(step, key, holder)
            if seat is None or seat.released_us is not None:
                yield key, place, self._seats.pool(step, key), seat

    def _places(
        self, company: ResolvedCompany, feature: ResolvedFeature, now_us: int
    ) -> dict[bytes, _Place]:
        places: dict[bytes, _Place] = {}
        for meter in feature.meters:
            address = meter.address(NO_ATTRIBUTES, now_us)
            if address is None:
                continue
            terms = seat_terms(meter.limit, company.snapshot.phases, now_us)
            if address.key in places:
                terms = joined(places[address.key].terms, terms)
            places[address.key] = _Place(address.ref.window, terms)
        return places


def _retry_at(place: _Place, pool: SeatPool) -> int | None:
    swap_window = place.terms.swap_window
    if swap_window is not None and swaps_decide(pool, place.terms):
        return swap_window.end_us
    return None if place.window.end_us == _LASTING else place.window.end_us
