"""Seats as sidecar and control plane tell each other of them."""

from __future__ import annotations

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.seats.model import Seat, SeatRequest, SeatResult, SeatStatus
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.shared.convert._checks import member
from sidecar.shared.convert.counters import total_from_message, total_to_message
from sidecar.shared.convert.leases import name_from_message, name_to_message


def seat_request_to_message(request: SeatRequest) -> sync_pb2.SeatRequest:
    """Turn a request into a message."""
    return sync_pb2.SeatRequest(
        company=request.company,
        feature=request.feature,
        holder=request.holder,
        at_us=request.at_us,
        release=request.is_release,
        has_happened=request.has_happened,
    )


def seat_request_from_message(message: sync_pb2.SeatRequest, field: str) -> SeatRequest:
    """Read a request; `InvalidInput` for names and instants that there cannot be."""
    return SeatRequest(
        KNOWN_NAMES.require_identifier(f"{field}.company", message.company),
        KNOWN_NAMES.require_identifier(f"{field}.feature", message.feature),
        KNOWN_NAMES.require_identifier(f"{field}.holder", message.holder),
        _instant(f"{field}.at_us", message.at_us),
        message.release,
        message.has_happened,
    )


def seat_to_message(seat: Seat) -> sync_pb2.SeatState:
    """Turn a seat into a message."""
    return sync_pb2.SeatState(
        counter=name_to_message(seat.counter),
        holder=seat.holder,
        assigned_us=seat.assigned_us,
        released_us=seat.released_us,
        version=seat.version,
    )


def seat_from_message(message: sync_pb2.SeatState, field: str) -> Seat:
    """Read a seat; `InvalidInput` for what cannot be kept."""
    released_us = None
    if message.HasField("released_us"):
        released_us = _instant(f"{field}.released_us", message.released_us)
    if message.version < 0:
        raise InvalidInput(f"{field}.version", "must not be negative")
    name = name_from_message(message.counter, f"{field}.counter")
    if name.counter.values:
        raise InvalidInput(f"{field}.counter.values", "seats are counted without values")
    return Seat(
        name,
        KNOWN_NAMES.require_identifier(f"{field}.holder", message.holder),
        _instant(f"{field}.assigned_us", message.assigned_us),
        message.version,
        released_us,
    )


def seat_result_to_message(result: SeatResult) -> sync_pb2.SeatResult:
    """Turn an answer into a message."""
    return sync_pb2.SeatResult(
        status=sync_pb2.SeatStatus.ValueType(result.status),
        seats=map(seat_to_message, result.seats),
        totals=map(total_to_message, result.totals),
        reason=result.reason,
        retry_at_us=result.retry_at_us,
    )


def seat_result_from_message(message: sync_pb2.SeatResult, field: str) -> SeatResult:
    """Read an answer; `InvalidInput` for what is none. A reason that is not known is a plain no."""
    reason = Reason.NOT_ENTITLED
    if message.reason in Reason.__members__.values():
        reason = Reason(message.reason)
    retry_at_us = None
    if message.HasField("retry_at_us"):
        retry_at_us = _instant(f"{field}.retry_at_us", message.retry_at_us)
    return SeatResult(
        member(SeatStatus, message.status, f"{field}.status"),
        tuple(
            seat_from_message(seat, f"{field}.seats[{at}]") for at, seat in enumerate(message.seats)
        ),
        tuple(
            total_from_message(total, f"{field}.totals[{at}]")
            for at, total in enumerate(message.totals)
        ),
        reason,
        retry_at_us,
    )


def _instant(field: str, at_us: int) -> int:
    if not FIRST_INSTANT_US <= at_us < END_INSTANT_US:
        raise InvalidInput(field, "must lie in the years 2 to 9998")
    return at_us
