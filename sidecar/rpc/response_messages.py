"""From domain values to messages: decisions, limits, entitlements.

Answers to checks are encoded once, to bytes: those are what is stored for retries, what is sent,
and what a batch strings together.
"""

from __future__ import annotations

from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.entitlement.resolve import Entitlement
from sidecar.domain.errors import FieldError
from sidecar.domain.limits.decision import CreditsBurned, Decision
from sidecar.domain.limits.rates import WHOLE_PPM
from sidecar.domain.limits.reasons import Basis
from sidecar.domain.limits.usage import Headroom, overage, remaining
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.convert.catalog import feature_to_message
from sidecar.shared.convert.grants import limit_to_message, rate_limit_to_message
from sidecar.shared.convert.limits import rate_to_message
from sidecar.shared.convert.status import code_of
from sidecar.shared.protobuf_wire import delimited

_DURATION_US_MAX: Final = 315_576_000_000 * SECOND_US
"""The longest `Duration`, 10,000 years: debts of a rate may drain for longer."""
PARTS_TOLD_MAX: Final = 32
"""Most parts of what a balance has burned that an answer tells."""
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
    if decision.would_deny is not None:
        message.would_deny_reason = decision.would_deny  # type: ignore[assignment]  # as above
    if decision.dimension_problem:
        message.dimension_problem = decision.dimension_problem
    for burned in decision.burned:
        fill_burned(message.burned.add(), burned)
    fill_basis(message.basis, basis)


def fill_burned(message: pb.CreditsBurned, burned: CreditsBurned) -> None:
    """Write what was burned of a balance into a message."""
    message.feature, message.needed, message.amount = burned.feature, burned.needed, burned.amount
    for part in burned.parts[:PARTS_TOLD_MAX]:
        message.parts.add(source=part.source, amount=part.amount)
    if burned.left is not None:
        message.left = burned.left
    message.low_balance.extend(burned.low_balance)


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
    if basis.remembered_us is not None:
        message.remembered.FromSeconds(basis.remembered_us // SECOND_US)
    if basis.default_plan:
        message.default_plan = basis.default_plan
    if basis.lease_remaining is not None:
        message.lease_remaining = basis.lease_remaining


def fill_limit_status(message: pb.LimitStatus, headroom: Headroom) -> None:
    """Write a limit and its usage, or a rate and what is in use of it, into a message."""
    message.limit = headroom.id
    message.enforcement = headroom.enforcement  # type: ignore[assignment]  # as above
    message.used = headroom.used
    left = remaining(headroom)
    if headroom.amount is not None and left is not None:
        message.amount = headroom.amount
        message.remaining = left
        message.overage = overage(headroom)
        message.carried = headroom.carried
        message.packs_left = headroom.packs_left
    if headroom.rate is not None:
        message.rate.CopyFrom(rate_to_message(headroom.rate))
        if headroom.share_ppm != WHOLE_PPM:
            message.rate_share_ppm = headroom.share_ppm
    if headroom.starts_us is not None:
        _fill_time(message.window_start, headroom.starts_us)
    if headroom.resets_us is not None:
        _fill_time(message.resets_at, headroom.resets_us)
    if headroom.dimensions:
        message.dimensions.update(headroom.dimensions)


def entitlement_to_message(entitlement: Entitlement) -> pb.Entitlement:
    """An entitlement as a message."""
    return pb.Entitlement(
        feature=feature_to_message(entitlement.feature),
        entitled=entitlement.entitled,
        reason=entitlement.reason,  # type: ignore[arg-type]  # the numbers are the API's
        config_value=entitlement.config_value,
        limits=[limit_to_message(limit) for limit in entitlement.limits],
        rates=[rate_limit_to_message(rate) for rate in entitlement.rates],
        overdraft=entitlement.overdraft,
        low_balance=entitlement.low_balance,
    )


def _fill_time(message: object, at_us: int) -> None:
    seconds, micros = divmod(at_us, SECOND_US)
    message.seconds = seconds  # type: ignore[attr-defined]
    if micros:
        message.nanos = micros * 1000  # type: ignore[attr-defined]
