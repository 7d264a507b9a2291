"""The demo's fourth part: a balance burned by two models, seats, and a level that rises and falls.

All of it at two pods; behind it the ledger's figures are held against those of the answers.
"""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Final, Protocol, TypeVar

from google.protobuf.duration_pb2 import Duration

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc, credits_pb2, credits_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2 as api
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.cli import output
from sidecar.cli.output import Cell, Painted
from sidecar.cli.pages import paged
from sidecar.cli.servers import connect
from sidecar.demo.ledger import heading
from sidecar.demo.system import CALL_S_MAX, SETTLE_S_MAX, System, expect, wait_until
from sidecar.shared.api_json import enum_name
from sidecar.shared.convert.times import timestamp
from sidecar.shared.wall_clock import wall_us

_COMPANY: Final = "wayne"
_CREDITS: Final = "ai_credits"
_USED: Final = "completions"
_MEMBERS: Final = "members"
_JOBS: Final = "jobs"
_GRANTED: Final = 600_000
"""Micro-credits of a month."""
_TOKENS: Final = 10_000
_COSTS: Final[Mapping[str, int]] = {"small": 1_000, "large": 4_000}
"""Micro-credits that a call of `_TOKENS` costs, by model."""
_SEATS: Final = 3
_RUNNING_MAX: Final = 10
_ITEM: Final = "render-7"
_ITEM_S: Final = 1
_PODS: Final = ("first", "second")
_EVENTS_AT_ONCE: Final = 1_000


class _Answer(Protocol):
    """An answer with a decision."""

    @property
    def decision(self) -> api.Decision: ...


_Answered = TypeVar("_Answered", bound=_Answer)


class KindsPart:
    """Tells it, and keeps what the answers said: by it the ledger is compared.

    `counted`: quantities by feature, as the ledger's sums are to have them.
    """

    def __init__(self) -> None:
        self.counted: Counter[str] = Counter()
        self._burned = self._running = self._peak = 0
        self._holders: set[str] = set()
        self._pods: dict[str, enforcement_pb2_grpc.EnforcementServiceStub] = {}

    def tell(self, system: System) -> None:
        """Burn the balance, take seats, move the level; `DemoFailed` where an answer is wrong."""
        with ExitStack() as stack:
            for name, address in zip(_PODS, (system.sidecar, system.second_sidecar), strict=True):
                channel = stack.enter_context(connect("sidecar", address))
                self._pods[name] = enforcement_pb2_grpc.EnforcementServiceStub(channel)
            self._burn()
            self._take_seats()
            self._move_level(system)
        self.counted += Counter({_JOBS: self._running})

    def compare(self, system: System) -> None:
        """Show the answers' figures beside the ledger's; `DemoFailed` unless they are equal."""
        heading(f"Credits, seats and jobs of {_COMPANY}: by the answers, and by the ledger")
        with connect("control", system.control) as channel:
            plane = control_pb2_grpc.ControlServiceStub(channel)
            burned, left = _balance(credits_pb2_grpc.CreditServiceStub(channel))
            seats = plane.ListSeats(
                control_pb2.ListSeatsRequest(company=_COMPANY, feature=_MEMBERS),
                timeout=CALL_S_MAX,
            ).seats
            bill = plane.GetLevelBill(
                control_pb2.GetLevelBillRequest(company=_COMPANY, feature=_JOBS),
                timeout=CALL_S_MAX,
            )
            asked = control_pb2.QueryUsageRequest(company=_COMPANY)
            sums = {it.feature: it.quantity for it in plane.QueryUsage(asked).sums}
        rows: list[tuple[str, int, int]] = [
            ("micro-credits burned", self._burned, burned),
            ("micro-credits left", _GRANTED - self._burned, left),
            ("tokens used", self.counted[_USED], sums[_USED]),
            ("seats held", len(self._holders), len(seats)),
            ("jobs under way", self._running, sums[_JOBS]),
            ("most jobs at a time", self._peak, bill.peak),
        ]
        output.print_table(
            ("", "answers", "ledger", "difference"), [(*row, row[1] - row[2]) for row in rows]
        )
        expect(all(row[1] == row[2] for row in rows), "answers and ledger differ")
        expect({it.holder for it in seats} == self._holders, "others than asked hold the seats")

    def _burn(self) -> None:
        granted = output.number(_GRANTED)
        heading(f"A balance: two pods burn {_COMPANY}'s {granted} micro-credits, by two models")
        event_us = wall_us()  # one instant, so that the month does not end in the middle
        with ThreadPoolExecutor() as threads:
            ends = [
                threads.submit(self._burn_at, pod, model, event_us)
                for pod, model in zip(_PODS, _COSTS, strict=True)
            ]
            burned = [end.result() for end in ends]
        rows = [
            (pod, model, calls, calls * _TOKENS, cost, "CREDITS_EXHAUSTED")
            for pod, model, (calls, cost) in zip(_PODS, _COSTS, burned, strict=True)
        ]
        output.print_table(("pod", "model", "calls", "tokens", "burned", "ended with"), rows)
        self._burned = sum(cost for _, cost in burned)
        self.counted[_USED] += sum(calls for calls, _ in burned) * _TOKENS
        expect(self._burned == _GRANTED, f"{self._burned} of {_GRANTED} were burned")
        told = output.number(self._burned)
        output.print_line(f"Together: {told} of {granted}, and never one more.")

    def _burn_at(self, pod: str, model: str, event_us: int) -> tuple[int, int]:
        """Use tokens until there are no credits; how many calls passed, and what they burned."""
        request = api.CheckAndIncrementRequest(
            company=_COMPANY,
            feature=_USED,
            quantity=_TOKENS,
            event_time=timestamp(event_us),
            dimensions={"model": model},
        )
        calls = burned = 0
        stub = self._pods[pod]
        while True:
            decision = _leased(lambda: stub.CheckAndIncrement(request, timeout=CALL_S_MAX)).decision
            if decision.reason == api.REASON_CREDITS_EXHAUSTED:
                return calls, burned
            expect(decision.allowed, f"{model} got {_reason(decision)}")
            (cost,) = decision.burned
            expect(cost.amount == _COSTS[model], f"a call of {model} burned {cost.amount}")
            calls, burned = calls + 1, burned + cost.amount

    def _take_seats(self) -> None:
        heading(f"Seats: {_SEATS} members at a time, each with a name, whichever pod is asked")
        rows = [
            self._acquire("first", "ann"),
            self._acquire("second", "ann", "has one already"),
            self._acquire("second", "ben"),
            self._acquire("first", "cleo"),
            self._acquire("second", "dora", "SEATS_EXHAUSTED"),
            self._release("first", "ben"),
            self._acquire("second", "dora"),
        ]
        output.print_table(("pod", "holder", "asked", "answer"), rows)

    def _acquire(self, pod: str, holder: str, wanted: str = "assigned") -> tuple[Cell, ...]:
        request = api.AcquireSeatRequest(company=_COMPANY, feature=_MEMBERS, holder=holder)
        answer = self._pods[pod].AcquireSeat(request, timeout=CALL_S_MAX)
        got = "assigned" if answer.assigned else "has one already"
        if not answer.decision.allowed:
            got = _reason(answer.decision)
        expect(got == wanted, f"the seat of {holder}: {got}, not {wanted}")
        if answer.decision.allowed:
            self._holders.add(holder)
        return pod, holder, "acquire", _painted(got, answer.decision)

    def _release(self, pod: str, holder: str) -> tuple[Cell, ...]:
        request = api.ReleaseSeatRequest(company=_COMPANY, feature=_MEMBERS, holder=holder)
        answer = self._pods[pod].ReleaseSeat(request, timeout=CALL_S_MAX)
        expect(answer.released, f"the seat of {holder} was not released")
        self._holders.remove(holder)
        return pod, holder, "release", "released"

    def _move_level(self, system: System) -> None:
        heading(f"A level: {_RUNNING_MAX} jobs under way at a time; it rises and falls")
        rows = [
            self._adjust("first", 6),
            self._adjust("second", 4),
            self._adjust("second", 1, "LIMIT_EXCEEDED"),
            self._adjust("second", -3),
        ]
        _flush(system.second_sidecar)  # else the other pod may be told that nothing came back yet
        rows += [self._adjust("first", 2), self._adjust("first", 1, item=_ITEM)]
        wait_until(self._item_is_gone, f"{_ITEM} did not come back", SETTLE_S_MAX)
        self._running -= 1
        rows.append(("first", _ITEM, -1, "came back by itself", self._running))
        output.print_table(("pod", "item", "change", "answer", "under way"), rows)

    def _adjust(
        self, pod: str, amount: int, wanted: str = "ALLOWED", item: str = ""
    ) -> tuple[Cell, ...]:
        request = api.AdjustLevelRequest(
            company=_COMPANY,
            feature=_JOBS,
            amount=amount,
            item=item,
            event_time=timestamp(wall_us()),
        )
        if item:
            request.time_to_live.CopyFrom(Duration(seconds=_ITEM_S))
        stub = self._pods[pod]
        decision = _leased(lambda: stub.AdjustLevel(request, timeout=CALL_S_MAX)).decision
        got = _reason(decision)
        expect(got == wanted, f"{amount:+} of {_JOBS}: {got}, not {wanted}")
        if decision.allowed:
            self._running += amount
            self._peak = max(self._peak, self._running)
        return pod, item or None, f"{amount:+}", _painted(got, decision), self._running

    def _item_is_gone(self) -> bool:
        request = api.GetLevelRequest(company=_COMPANY, feature=_JOBS, item=_ITEM)
        return not self._pods["first"].GetLevel(request, timeout=CALL_S_MAX).items


def _flush(address: str) -> None:
    with connect("sidecar", address) as channel:
        admin = admin_pb2_grpc.AdminServiceStub(channel)
        request = admin_pb2.FlushRequest(timeout=Duration(seconds=round(CALL_S_MAX)))
        answer = admin.Flush(request, timeout=SETTLE_S_MAX)
    expect(answer.complete, "the level of the second pod did not reach the control plane")


def _leased(ask: Callable[[], _Answered]) -> _Answered:
    """Ask; again where the other pod is just giving back what it does not need."""
    deadline = time.monotonic() + SETTLE_S_MAX
    while True:
        answer = ask()
        if answer.decision.reason != api.REASON_LEASE_UNAVAILABLE:
            return answer
        expect(time.monotonic() < deadline, "a pod got no lease")
        time.sleep(answer.decision.retry_after.ToMicroseconds() / 1_000_000)


def _balance(plane: credits_pb2_grpc.CreditServiceStub) -> tuple[int, int]:
    """What usage records burned of the credits, added up, and what of the balance is left."""
    history = paged(
        plane.ListCreditHistory,
        credits_pb2.ListCreditHistoryRequest(company=_COMPANY, page_size=_EVENTS_AT_ONCE),
        CALL_S_MAX,
        sys.maxsize,
        lambda page: len(page.events),
        lambda page, more: page.events.extend(more.events),
    )
    kind = credits_pb2.CREDIT_EVENT_KIND_BURNED
    burned = sum(event.amount for event in history.events if event.kind == kind)
    asked = credits_pb2.GetCreditBalanceRequest(company=_COMPANY, feature=_CREDITS)
    (balance,) = plane.GetCreditBalance(asked, timeout=CALL_S_MAX).balances
    return burned, balance.balance


def _reason(decision: api.Decision) -> str:
    return str(enum_name(api.Reason.DESCRIPTOR, decision.reason))


def _painted(told: str, decision: api.Decision) -> Painted:
    return Painted(told, "green" if decision.allowed else "red")
