"""Checks of the demo: each is sent, shown as a row, and compared with the answer it must get."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.output import Painted
from sidecar.demo.system import CALL_S_MAX, expect
from sidecar.shared.api_json import enum_name
from sidecar.shared.convert.times import timestamp


@dataclass(frozen=True, slots=True)
class Ask:
    """A check, and the answer that it must get. `counts`: CheckAndIncrement rather than Check."""

    company: str
    feature: str
    quantity: int = 1
    user: str = ""
    key: str = ""
    counts: bool = True
    reason: str = "ALLOWED"
    overage: int = 0
    replayed: bool = False


@dataclass(frozen=True, slots=True)
class Scene:
    """A few checks that show one thing."""

    title: str
    asks: tuple[Ask, ...]


def play(
    stub: enforcement_pb2_grpc.EnforcementServiceStub, asks: Sequence[Ask], event_us: int
) -> Counter[str]:
    """Send checks for one instant and show the answers; what was counted, by feature.

    Raises `DemoFailed` where an answer is not as it must be.
    """
    counted: Counter[str] = Counter()
    rows = []
    for ask in asks:
        answer = _answer(stub, ask, event_us)
        rows.append(_row(ask, answer))
        _expect(ask, answer)
        if ask.counts and not answer.replayed:
            counted[ask.feature] += answer.decision.granted
    output.print_table(
        ("company", "feature", "asked", "answer", "why", "used", "limit", "over"), rows
    )
    return counted


def _answer(
    stub: enforcement_pb2_grpc.EnforcementServiceStub, ask: Ask, event_us: int
) -> api.CheckAndIncrementResponse:
    dimensions = {"user": ask.user} if ask.user else {}
    event_time = timestamp(event_us)
    if not ask.counts:
        question = api.CheckRequest(
            company=ask.company,
            feature=ask.feature,
            quantity=ask.quantity,
            dimensions=dimensions,
            event_time=event_time,
        )
        decision = stub.Check(question, timeout=CALL_S_MAX).decision
        return api.CheckAndIncrementResponse(decision=decision)
    return stub.CheckAndIncrement(
        api.CheckAndIncrementRequest(
            company=ask.company,
            feature=ask.feature,
            quantity=ask.quantity,
            dimensions=dimensions,
            event_time=event_time,
            idempotency_key=ask.key,
        ),
        timeout=CALL_S_MAX,
    )


def _row(ask: Ask, answer: api.CheckAndIncrementResponse) -> tuple[output.Cell, ...]:
    decision = answer.decision
    limit = decision.binding_limit if decision.HasField("binding_limit") else None
    shown = Painted("allowed", "green") if decision.allowed else Painted("denied", "red")
    if answer.replayed:
        shown = Painted("replayed", "cyan")
    ceiling: output.Cell = None
    if limit is not None and limit.HasField("amount"):
        kind = enum_name(catalog_pb2.Enforcement.DESCRIPTOR, limit.enforcement)
        ceiling = f"{output.number(limit.amount)} {kind}"
    return (
        f"{ask.company} ({ask.user})" if ask.user else ask.company,
        ask.feature,
        ask.quantity,
        shown,
        str(enum_name(api.Reason.DESCRIPTOR, decision.reason)),
        None if limit is None else limit.used,
        ceiling,
        decision.overage or None,
    )


def _expect(ask: Ask, answer: api.CheckAndIncrementResponse) -> None:
    got = (
        enum_name(api.Reason.DESCRIPTOR, answer.decision.reason),
        answer.decision.allowed,
        answer.decision.overage,
        answer.replayed,
    )
    wanted = (ask.reason, ask.reason == "ALLOWED", ask.overage, ask.replayed)
    expect(got == wanted, f"{ask} got {got} instead")
