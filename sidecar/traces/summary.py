"""What came of a replay, summed up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2
from sidecar.shared.api_json import enum_name

PROBLEMS_MAX: Final = 20
"""How many errors are kept word by word."""

_STATUS_NAMES: Final = {code.value[0]: code.name for code in grpc.StatusCode}


@dataclass(slots=True)
class ReplaySummary:
    """Outcomes of checks. Every one sent is allowed, denied or an error.

    `replayed` ones are among the allowed: stored answers to an earlier call with the same key.
    `asked` are those of quantity 0, which count nothing, so that no key of theirs is remembered.
    `quantity` and `overage` are sums by feature over what was allowed, replayed ones included, and
    so is `burned` by feature of credits, in micro-credits.
    """

    sent: int = 0
    allowed: int = 0
    denied: int = 0
    replayed: int = 0
    asked: int = 0
    errors: int = 0
    calls: int = 0
    quantity: Counter[str] = field(default_factory=Counter)
    overage: Counter[str] = field(default_factory=Counter)
    burned: Counter[str] = field(default_factory=Counter)
    denied_by_reason: Counter[str] = field(default_factory=Counter)
    errors_by_reason: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0
    gave_up: bool = False

    def add_answer(
        self,
        request: enforcement_pb2.CheckAndIncrementRequest,
        answer: enforcement_pb2.CheckAndIncrementResponse,
    ) -> None:
        """Count a decision."""
        decision = answer.decision
        self.sent += 1
        self.asked += request.HasField("quantity") and request.quantity == 0
        # Also with nothing granted, so that the summary names every feature of the trace.
        self.quantity[request.feature] += decision.granted
        self.overage[request.feature] += decision.overage if decision.allowed else 0
        for burned in decision.burned:
            self.burned[burned.feature] += burned.needed if decision.allowed else 0
        if decision.allowed:
            self.allowed += 1
            self.replayed += answer.replayed
        else:
            self.denied += 1
            reason = enum_name(enforcement_pb2.Reason.DESCRIPTOR, decision.reason)
            self.denied_by_reason[str(reason)] += 1

    def add_error(
        self,
        line: int,
        request: enforcement_pb2.CheckAndIncrementRequest,
        error: enforcement_pb2.CheckError,
    ) -> None:
        """Count a check that was not decided."""
        self.sent += 1
        self.errors += 1
        self.quantity[request.feature] += 0
        reason = error.reason or _STATUS_NAMES.get(error.code, str(error.code))
        self.errors_by_reason[reason] += 1
        if len(self.problems) < PROBLEMS_MAX:
            self.problems.append(f"line {line}: {request.feature}: {reason}: {error.message}")

    @property
    def checks_per_s(self) -> float:
        """Checks settled a second."""
        return self._per_s(self.sent)

    def as_dict(self) -> dict[str, object]:
        """Return what scripts read."""
        return {
            "sent": self.sent,
            "allowed": self.allowed,
            "denied": self.denied,
            "replayed": self.replayed,
            "asked": self.asked,
            "errors": self.errors,
            "quantity": _sorted(self.quantity),
            "overage": _sorted(self.overage),
            "burned": _sorted(self.burned),
            "denied_by_reason": _sorted(self.denied_by_reason),
            "errors_by_reason": _sorted(self.errors_by_reason),
            "calls": self.calls,
            "seconds": round(self.seconds, 3),
            "calls_per_s": round(self._per_s(self.calls), 1),
            "checks_per_s": round(self.checks_per_s, 1),
            "complete": not self.gave_up,
        }

    def _per_s(self, count: int) -> float:
        return count / self.seconds if self.seconds else 0.0


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return dict(sorted(counts.items()))
