"""What the lease machine says is to be done."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, TypeAlias

import msgspec

from sidecar.domain.leases.model import (
    HAS_TOO_LITTLE,
    WITHOUT_LEASE,
    LeaseRequest,
    LeaseResult,
    LeaseStatus,
    LeaseWish,
)
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US

_RETRY_US_MIN: Final = MILLISECOND_US
_RETRY_US_MAX: Final = 5 * SECOND_US
_EXHAUSTED_US: Final = 100 * MILLISECOND_US
_GONE_US: Final = SECOND_US // 2


class AskLeases(msgspec.Struct, frozen=True):
    """Give wishes numbers on disk, and send the requests, under the epoch that is known."""

    number: int
    epoch: str
    wishes: Sequence[LeaseWish]
    serves_calls: bool


class ReportLeases(msgspec.Struct, frozen=True):
    """ReportLeases all that the store holds, under a new epoch."""

    epoch: str


class Rest(msgspec.Struct, frozen=True):
    """Do nothing until an instant, or until something changes."""

    until_us: int


LeaseAction: TypeAlias = AskLeases | ReportLeases | Rest


class LeaseRefusal(msgspec.Struct, frozen=True):
    """Why calls for at least so much of a counter get no lease, until an instant."""

    counter: CounterName
    status: LeaseStatus
    quantity: int
    until_us: int


class LeaseOutcome(msgspec.Struct, frozen=True):
    """What to do about answers, in this order.

    `take`: leases to store, with the usage from which on more is to be asked for. `drop`: counters
    whose lease is none. `refusals`: what calls are to be told meanwhile. `hurry`: the plane lacks
    usage that was counted here: push.
    """

    take: Sequence[tuple[CounterName, LeaseResult, int]] = ()
    drop: Sequence[CounterName] = ()
    refusals: Sequence[LeaseRefusal] = ()
    hurry: bool = False


def refusal_of(now_us: int, request: LeaseRequest, result: LeaseResult) -> LeaseRefusal | None:
    """What calls are to be told of a counter after an answer, without asking again."""
    counter, status = request.counter, result.status
    if status in HAS_TOO_LITTLE and request.need:
        until_us = now_us + retry_after_us(result, _EXHAUSTED_US)
        return LeaseRefusal(counter, status, request.need, until_us)
    if status in WITHOUT_LEASE:
        return LeaseRefusal(counter, status, 0, now_us + _GONE_US)
    return None


def retry_after_us(result: LeaseResult, usual_us: int) -> int:
    """How long not to ask again, as the plane says, within reason."""
    if result.retry_after_ms <= 0:
        return usual_us
    return max(_RETRY_US_MIN, min(_RETRY_US_MAX, result.retry_after_ms * MILLISECOND_US))
