"""The usual answer to a check as bytes: a protobuf `CheckAndIncrementResponse`, by hand.

Filling and serialising the generated class takes 2.9 us, this takes 1.2: a tenth of what a check of
a batch may cost. Only the plain answer is written here (allowed, no warning, no overage, no rate);
every other one goes through the generated class. What does not change between two answers about the
same counter is kept. The tests compare both ways.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.catalog import Limit
from sidecar.domain.decision import Basis, Decision, Gauge
from sidecar.domain.windows import Window
from sidecar.rpc.answers import fill_basis, fill_decision, fill_limit_status
from sidecar.wire import varint

_KEPT_MAX: Final = 8192


class _Frame(NamedTuple):
    """What stays the same in the status of a limit: the bytes before and behind the usage."""

    limit: Limit
    window: Window
    values: tuple[str, ...]
    head: bytes
    tail: bytes


class AnswerEncoder:
    """Encodes answers; one for a process, since it keeps what answers have in common."""

    def __init__(self) -> None:
        self._frames: dict[int, _Frame] = {}
        self._basis: Basis | None = None
        self._basis_bytes = b""

    def __call__(self, decision: Decision, basis: Basis, record_id: str) -> bytes:
        """Bytes of a `CheckAndIncrementResponse`."""
        gauge = decision.binding
        if not (
            type(gauge) is Gauge and decision.allowed and decision.granted > 0 and not gauge.carried
        ):
            return _encode(decision, basis, record_id)
        if decision.warnings or decision.shadow_denials or decision.overage or decision.throttled:
            return _encode(decision, basis, record_id)
        if basis is not self._basis:
            self._keep_basis(basis)
        status = self._limit_status(gauge)
        body = b"\x08\x01\x10%b\x18%b\x22%b%b%b" % (
            varint(decision.reason),
            varint(decision.granted),
            varint(len(status)),
            status,
            self._basis_bytes,
        )
        name = record_id.encode()
        return b"\x0a%b%b\x12%b%b" % (varint(len(body)), body, varint(len(name)), name)

    def _limit_status(self, gauge: Gauge) -> bytes:
        limit = gauge.limit
        key = id(gauge.window) ^ id(limit) ^ hash(gauge.values)
        frame = self._frames.get(key)
        if (
            frame is None
            or frame.window is not gauge.window
            or frame.limit is not limit
            or frame.values != gauge.values
        ):
            frame = self._keep_frame(key, gauge)
        if limit.amount is None:
            return b"%b\x20%b%b" % (frame.head, varint(gauge.used), frame.tail)
        left = limit.amount - gauge.used
        if left < 0:
            # Past a SHADOW limit, or a SOFT one that was lowered.
            usage = b"\x20%b\x28\x00\x30%b" % (varint(gauge.used), varint(-left))
            return b"%b%b%b" % (frame.head, usage, frame.tail)
        return b"%b\x20%b\x28%b%b" % (frame.head, varint(gauge.used), varint(left), frame.tail)

    def _keep_frame(self, key: int, gauge: Gauge) -> _Frame:
        """Fields come in the order of their numbers: before `used` (4), behind `overage` (6)."""
        status = pb.LimitStatus()
        fill_limit_status(status, gauge)
        head = pb.LimitStatus(limit=status.limit, enforcement=status.enforcement)
        if status.HasField("amount"):
            head.amount = status.amount
        for field in ("limit", "enforcement", "amount", "used", "remaining", "overage"):
            status.ClearField(field)
        frame = _Frame(
            gauge.limit,
            gauge.window,
            gauge.values,
            head.SerializeToString(),
            status.SerializeToString(),
        )
        if len(self._frames) >= _KEPT_MAX:
            self._frames.clear()
        self._frames[key] = frame
        return frame

    def _keep_basis(self, basis: Basis) -> None:
        decision = pb.Decision()
        fill_basis(decision.basis, basis)
        self._basis = basis
        self._basis_bytes = decision.SerializeToString()


def _encode(decision: Decision, basis: Basis, record_id: str) -> bytes:
    response = pb.CheckAndIncrementResponse(record_id=record_id)
    fill_decision(response.decision, decision, basis)
    return response.SerializeToString()
