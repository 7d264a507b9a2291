"""What is answered about seats, to sidecars and to people. Runs in worker threads."""

from __future__ import annotations

from typing import Final

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2
from sidecar.api.sync.v1 import sync_pb2
from sidecar.control.rpc.request_validation import require_count, require_incarnation, size_or
from sidecar.control.services import seat_lists
from sidecar.control.services.lease_terms import KeptTimelines
from sidecar.control.services.seat_lists import SeatLimitUse, SeatPlace
from sidecar.control.services.seats import AssignedSeats, assign_seats
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.values import CORRECTIONS, CounterKey
from sidecar.control.storage.witness_port import LeaseWitness
from sidecar.domain.bounds import BATCH_MAX
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.seats.model import SeatRequest, SeatResult, SeatStatus, SeatsTold
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US, LIFETIME_WINDOW, Window
from sidecar.shared.convert.leases import name_from_message
from sidecar.shared.convert.seats import (
    seat_request_from_message,
    seat_result_to_message,
    seat_to_message,
)
from sidecar.shared.convert.times import timestamp, timestamp_or_none
from sidecar.shared.page_tokens import bad_token, decode_place, encode_place

PAGE_MAX: Final = 1_000
_EXHAUSTED: Final = int(Reason.SEATS_EXHAUSTED)


class SeatDesk:
    """Answers requests for seats on the thread that writes. It keeps what it found of companies."""

    def __init__(self, witness: LeaseWitness) -> None:
        self._witness = witness
        self._timelines = KeptTimelines()

    def assign(
        self, store: PlaneStore, request: sync_pb2.AssignSeatsRequest, now_us: int
    ) -> tuple[sync_pb2.AssignSeatsResponse, AssignedSeats]:
        """Answer to AssignSeats of a sidecar, and what came of it."""
        incarnation = require_incarnation(request.incarnation)
        require_count("requests", len(request.requests), 1, BATCH_MAX)
        requests = [
            seat_request_from_message(each, f"requests[{at}]")
            for at, each in enumerate(request.requests)
        ]
        assigned = assign_seats(
            store, self._timelines, incarnation, requests, self._witness, now_us
        )
        response = sync_pb2.AssignSeatsResponse(
            results=map(seat_result_to_message, assigned.results),
            version=assigned.version,
            epoch=assigned.epoch,
            plane_time=timestamp(now_us),
        )
        return response, assigned

    def acquire(
        self, store: PlaneStore, request: control_pb2.AcquireSeatRequest, now_us: int
    ) -> tuple[control_pb2.AcquireSeatResponse, AssignedSeats]:
        """Answer to AcquireSeat of people."""
        NEW_NAMES.require_identifier("holder", request.holder)
        result, assigned = self._of_people(store, request, now_us, is_release=False)
        status = result.status
        reason = _EXHAUSTED if status is SeatStatus.EXHAUSTED else int(result.reason)
        held = status in (SeatStatus.ASSIGNED, SeatStatus.HELD)
        response = control_pb2.AcquireSeatResponse(
            held=held,
            assigned=status is SeatStatus.ASSIGNED,
            reason=0 if held else reason,
            retry_at=timestamp_or_none(result.retry_at_us),
        )
        return response, assigned

    def release(
        self, store: PlaneStore, request: control_pb2.ReleaseSeatRequest, now_us: int
    ) -> tuple[control_pb2.ReleaseSeatResponse, AssignedSeats]:
        """Answer to ReleaseSeat of people."""
        result, assigned = self._of_people(store, request, now_us, is_release=True)
        response = control_pb2.ReleaseSeatResponse(
            released=result.status is SeatStatus.RELEASED,
            counts_until=timestamp_or_none(counts_until_us(result)),
        )
        return response, assigned

    def _of_people(
        self,
        store: PlaneStore,
        request: control_pb2.AcquireSeatRequest | control_pb2.ReleaseSeatRequest,
        now_us: int,
        *,
        is_release: bool,
    ) -> tuple[SeatResult, AssignedSeats]:
        company = KNOWN_NAMES.require_identifier("company", request.company)
        feature = KNOWN_NAMES.require_identifier("feature", request.feature)
        holder = KNOWN_NAMES.require_identifier("holder", request.holder)
        with store.read() as transaction:
            seat_lists.deciding(transaction, company, feature)
        asked = SeatRequest(company, feature, holder, now_us, is_release)
        assigned = assign_seats(store, self._timelines, CORRECTIONS, [asked], self._witness, now_us)
        return assigned.results[0], assigned


def counts_until_us(result: SeatResult) -> int | None:
    """Until when a holder's seat of a window counts; `None` for none."""
    ends = [seat.counter.counter.window.end_us for seat in result.seats]
    return max((end for end in ends if end != LIFETIME_WINDOW.end_us), default=None)


def told(told: SeatsTold, now_us: int) -> sync_pb2.WatchSeatsResponse:
    """A message of a watch."""
    return sync_pb2.WatchSeatsResponse(
        changes=map(seat_to_message, told.changes),
        until_version=told.until_version,
        anew=told.is_anew,
        epoch=told.epoch,
        plane_time=timestamp(now_us),
    )


def list_of_counter(
    store: PlaneStore, request: sync_pb2.ListSeatsRequest, now_us: int
) -> sync_pb2.ListSeatsResponse:
    """Answer to ListSeats of a sidecar."""
    require_incarnation(request.incarnation)
    name = name_from_message(request.counter, "counter")
    if request.after_holder:
        KNOWN_NAMES.require_identifier("after_holder", request.after_holder)
    most = require_count("page_size", request.page_size, 1, PAGE_MAX)
    key = CounterKey(name.company, name.feature, name.counter)
    seats, more = seat_lists.page_of_counter(store, key, request.after_holder, most)
    return sync_pb2.ListSeatsResponse(
        seats=map(seat_to_message, seats), more=more, plane_time=timestamp(now_us)
    )


def list_seats(
    store: PlaneStore, request: control_pb2.ListSeatsRequest, now_us: int
) -> control_pb2.ListSeatsResponse:
    """Answer to ListSeats of people."""
    company = KNOWN_NAMES.require_identifier("company", request.company)
    feature = KNOWN_NAMES.require_identifier("feature", request.feature)
    most = size_or("page_size", request.page_size, PAGE_MAX, PAGE_MAX)
    place = _place_of(request.page_token, now_us)
    page = seat_lists.list_seats(store, company, feature, place, most)
    return control_pb2.ListSeatsResponse(
        limits=map(_limit, page.limits),
        seats=[
            control_pb2.SeatHolder(
                holder=seat.holder,
                assigned_at=timestamp(seat.assigned_us),
                limit=page.limits[number].counted.limit.id,
            )
            for number, seat in page.seats
        ],
        next_page_token="" if page.after is None else encode_place(page.after),
    )


def _limit(use: SeatLimitUse) -> control_pb2.SeatLimit:
    terms, swap_window = use.terms, use.terms.swap_window
    pool = use.pool.since(swap_window)
    message = control_pb2.SeatLimit(
        limit=use.counted.limit.id,
        amount=terms.amount,
        held=pool.held,
        window=_window(use.counted.window),
    )
    if terms.swaps is not None and terms.amount is not None and swap_window is not None:
        message.holders_left = max(0, terms.amount + terms.swaps - pool.held - pool.freed)
        message.swaps_reset_at.CopyFrom(timestamp(swap_window.end_us))
    return message


def _window(window: Window) -> catalog_pb2.WindowInstance | None:
    if window == LIFETIME_WINDOW:
        return None
    return catalog_pb2.WindowInstance(
        start=timestamp(window.start_us), end=timestamp(window.end_us)
    )


def _place_of(token: str, now_us: int) -> SeatPlace:
    if not token:
        return SeatPlace(now_us)
    place = decode_place(token, SeatPlace)
    is_sound = FIRST_INSTANT_US <= place.at_us < END_INSTANT_US and place.limit >= 0
    if not is_sound or KNOWN_NAMES.identifier_problem(place.holder) is not None:
        raise bad_token()
    return place
