"""From domain values to messages: decisions, limits, entitlements.

Answers to checks are encoded once, to bytes: those are what is stored for retries, what is sent,
and what a batch strings together.
"""

from __future__ import annotations

from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.convert.catalog import (
    feature_to_message,
    limit_to_message,
    rate_limit_to_message,
)
from sidecar.convert.limits import rate_to_message
from sidecar.convert.status import code_of
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.decision import Basis, Decision, Gauge, RateGauge
from sidecar.domain.entitlements import Entitlement
from sidecar.domain.errors import FieldError
from sidecar.domain.rates import empties_us, in_use, room
from sidecar.domain.windows import END_INSTANT_US

_DURATION_US_MAX: Final = 315_576_000_000 * 1_000_000
"""The longest `Duration`, 10,000 years: debts of a rate may drain for longer."""
_REPLAYED: Final = b"\x18\x01"
"""The field `replayed` as true, on the wire: behind a stored answer it makes it a replayed one."""


def replayed(answer: bytes) -> bytes:
    """A stored answer, marked as replayed."""
    return answer + _REPLAYED


def record_answer(answer: bytes) -> bytes:
    """The stored answer to a check as an answer to `RecordUsage`."""
    stored = pb.CheckAndIncrementResponse.FromString(answer)
    return pb.RecordUsageResponse(
        record_id=stored.record_id, replayed=stored.replayed, decision=stored.decision
    ).SerializeToString()


def outcome_of(answer: bytes) -> bytes:
    """Bytes of a `CheckOutcome` that holds an answer."""
    return delimited(b"\x0a", answer)


def outcome_of_error(error: FieldError) -> bytes:
    """Bytes of a `CheckOutcome` that holds an error."""
    failed = pb.CheckError(
        code=code_of(error), reason=error.reason, message=str(error), field=error.field
    )
    return pb.CheckOutcome(error=failed).SerializeToString()


def batch_of(outcomes: list[bytes]) -> bytes:
    """Bytes of a `BatchCheckAndIncrementResponse` (or, with one, of a stream's response)."""
    return b"".join([delimited(b"\x0a", outcome) for outcome in outcomes])


def fill_decision(message: pb.Decision, decision: Decision, basis: Basis) -> None:
    """Write a decision into a message."""
    message.allowed = decision.allowed
    message.reason = decision.reason  # type: ignore[assignment]  # the numbers are the API's
    message.granted = decision.granted
    if decision.binding is not None:
        fill_limit_status(message.binding_limit, decision.binding)
    if decision.retry_after_us is not None:
        message.retry_after.FromMicroseconds(min(_DURATION_US_MAX, decision.retry_after_us))
    for warning in decision.warnings:
        message.warnings.add(limit=warning.limit, percent=warning.percent)
    if decision.shadow_denials:
        message.shadow_denials.extend(decision.shadow_denials)
    if decision.overage:
        message.overage = decision.overage
    if decision.throttled:
        message.throttled.extend(decision.throttled)
    fill_basis(message.basis, basis)


def fill_basis(message: pb.Basis, basis: Basis) -> None:
    """Write a basis into a message."""
    message.mode = basis.mode  # type: ignore[assignment]  # the numbers are the API's
    message.snapshot_version = basis.snapshot_version
    if basis.plane_age_ms is not None:
        message.plane_age_ms = basis.plane_age_ms
    if basis.uncertainty is not None:
        message.uncertainty = basis.uncertainty
    if basis.fallback:
        message.fallback = basis.fallback  # type: ignore[assignment]  # as above


def fill_limit_status(message: pb.LimitStatus, gauge: Gauge | RateGauge) -> None:
    """Write a limit and its usage, or a rate and what is in use of it, into a message."""
    limit = gauge.limit
    message.limit = limit.id
    message.enforcement = limit.enforcement  # type: ignore[assignment]  # as above
    if isinstance(gauge, RateGauge):
        _fill_rate_usage(message, gauge)
    else:
        _fill_usage(message, gauge)
    if gauge.values:
        message.dimensions.update(zip(limit.scope.dimensions, gauge.values, strict=True))


def _fill_usage(message: pb.LimitStatus, gauge: Gauge) -> None:
    limit = gauge.limit
    message.used = gauge.used
    if limit.amount is not None:
        message.amount = limit.amount
        left = limit.amount + gauge.carried - gauge.used
        if left >= 0:
            message.remaining = left
        else:
            message.remaining = 0
            message.overage = -left
        if gauge.carried:
            message.carried = gauge.carried
    if limit.throttle is not None:
        message.rate.CopyFrom(rate_to_message(limit.throttle))
    window = gauge.window
    if window.end_us != FOREVER_US:
        _fill_time(message.window_start, window.start_us)
        _fill_time(message.resets_at, window.end_us)


def _fill_rate_usage(message: pb.LimitStatus, gauge: RateGauge) -> None:
    rate, level = gauge.limit.rate, max(0, gauge.level)
    message.rate.CopyFrom(rate_to_message(rate))
    message.amount = rate.burst
    message.used = in_use(rate, level)
    message.remaining = room(rate, level)
    message.overage = max(0, message.used - rate.burst)
    drained_us = empties_us(rate, level, gauge.now_us)
    if drained_us < END_INSTANT_US:
        _fill_time(message.resets_at, drained_us)


def entitlement_to_message(entitlement: Entitlement) -> pb.Entitlement:
    """An entitlement as a message."""
    return pb.Entitlement(
        feature=feature_to_message(entitlement.feature),
        entitled=entitlement.entitled,
        reason=entitlement.reason,  # type: ignore[arg-type]  # the numbers are the API's
        config_value=entitlement.config_value,
        limits=[limit_to_message(limit) for limit in entitlement.limits],
        rates=[rate_limit_to_message(rate) for rate in entitlement.rates],
    )


def _fill_time(message: object, at_us: int) -> None:
    seconds, micros = divmod(at_us, 1_000_000)
    message.seconds = seconds  # type: ignore[attr-defined]
    if micros:
        message.nanos = micros * 1000  # type: ignore[attr-defined]


def delimited(tag: bytes, data: bytes) -> bytes:
    """Bytes of a field that holds a message; `tag` is the field's."""
    size = len(data)
    if size < 0x80:
        return b"%b%c%b" % (tag, size, data)
    if size < 0x4000:
        return b"%b%c%c%b" % (tag, size & 0x7F | 0x80, size >> 7, data)
    prefix = bytearray(tag)
    while size >= 0x80:
        prefix.append(size & 0x7F | 0x80)
        size >>= 7
    prefix.append(size)
    return bytes(prefix) + data
