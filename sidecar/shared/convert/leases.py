"""Leases as sidecar and control plane ask for them, grant and report them."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.errors import InvalidInput
from sidecar.domain.leases.model import LeaseEntry, LeaseRequest, LeaseResult, LeaseStatus
from sidecar.domain.limits.counters import CounterName, is_level
from sidecar.domain.text import KNOWN_NAMES
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US, LIFETIME_END_US
from sidecar.shared.convert._checks import member
from sidecar.shared.convert.counters import counter_from_message, counter_to_message


def name_to_message(name: CounterName) -> sync_pb2.CounterAddress:
    """Turn a counter's name into a message."""
    return sync_pb2.CounterAddress(
        company=name.company, feature=name.feature, counter=counter_to_message(name.counter)
    )


def name_from_message(message: sync_pb2.CounterAddress, field: str) -> CounterName:
    """Read a counter's name; `InvalidInput` for one that there cannot be."""
    return CounterName(
        KNOWN_NAMES.require_identifier(f"{field}.company", message.company),
        KNOWN_NAMES.require_identifier(f"{field}.feature", message.feature),
        counter_from_message(message.counter, f"{field}.counter"),
    )


def lease_request_to_message(request: LeaseRequest) -> sync_pb2.LeaseRequest:
    """Turn a request into a message."""
    return sync_pb2.LeaseRequest(
        counter=name_to_message(request.counter),
        number=request.number,
        held=request.held,
        used=request.used,
        need=request.need,
        want=request.want,
        ahead=request.ahead,
    )


def lease_request_from_message(message: sync_pb2.LeaseRequest, field: str) -> LeaseRequest:
    """Read a request; `InvalidInput` for what no sidecar asks."""
    if message.number < 1:
        raise InvalidInput(f"{field}.number", "must be at least 1")
    falls = is_level(message.counter.counter.slot)
    for name in ("held", "used"):
        _require_amount(f"{field}.{name}", getattr(message, name), falls=falls)
    for name in ("need", "want", "ahead"):
        _require_amount(f"{field}.{name}", getattr(message, name))
    if message.need > message.want:
        raise InvalidInput(f"{field}.want", "must be at least need")
    return LeaseRequest(
        counter=name_from_message(message.counter, f"{field}.counter"),
        number=message.number,
        held=message.held,
        used=message.used,
        need=message.need,
        want=message.want,
        ahead=message.ahead,
    )


def lease_result_to_message(result: LeaseResult) -> sync_pb2.LeaseResult:
    """Turn an answer into a message."""
    return sync_pb2.LeaseResult(
        number=result.number,
        status=sync_pb2.LeaseStatus.ValueType(result.status),
        granted=result.granted,
        valid_until_us=result.valid_until_us,
        exact=result.exact,
        retry_after_ms=result.retry_after_ms,
        amount=result.amount,
    )


def lease_result_from_message(
    message: sync_pb2.LeaseResult, field: str, *, falls: bool = False
) -> LeaseResult:
    """Read an answer; `InvalidInput` for a status that is not known, or what cannot be.

    `falls`: it is about a level, of which more may have been taken back than was counted.
    """
    _require_amount(f"{field}.granted", message.granted, falls=falls)
    _require_amount(f"{field}.amount", message.amount)
    status = member(LeaseStatus, message.status, f"{field}.status")
    if status is LeaseStatus.GRANTED:
        _require_end(f"{field}.valid_until_us", message.valid_until_us)
    return LeaseResult(
        number=message.number,
        status=status,
        granted=message.granted,
        valid_until_us=message.valid_until_us,
        exact=message.exact,
        retry_after_ms=message.retry_after_ms,
        amount=message.amount,
    )


def held_lease_to_message(entry: LeaseEntry) -> sync_pb2.HeldLease:
    """Turn what is held into a message: what was counted past it may not be spent again."""
    return sync_pb2.HeldLease(
        counter=name_to_message(entry.counter),
        incarnation=entry.incarnation,
        granted=max(entry.granted, entry.own),
        number=entry.number,
        valid_until_us=entry.valid_until_us,
        granted_max=entry.granted_max,
        counted=entry.counted,
    )


def lease_numbers_to_messages(numbers: Mapping[str, int]) -> list[sync_pb2.LeaseNumber]:
    """Turn numbers of last requests, by incarnation, into messages."""
    return [
        sync_pb2.LeaseNumber(incarnation=incarnation, number=number)
        for incarnation, number in numbers.items()
    ]


def _require_amount(field: str, amount: int, *, falls: bool = False) -> None:
    if not (-INT64_MAX if falls else 0) <= amount <= INT64_MAX:
        raise InvalidInput(field, "must not be negative")


def _require_end(field: str, end_us: int) -> None:
    if not FIRST_INSTANT_US <= end_us <= END_INSTANT_US and end_us != LIFETIME_END_US:
        raise InvalidInput(field, "must lie in the years 2 to 9998")
