"""Load on a sidecar that keeps books: what was asked, what was answered, what never was.

Every call has a number that travels in its record's metadata, so that the ledger can be held
against the books, call by call. A call with an idempotency key is repeated until it is answered;
one without is never repeated.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.daemons import Sidecar
from tests.support.ledger import CALLS, COMPANIES, EXPORTS, TOKENS
from tests.support.seeds import seeded

BATCH_MAX: Final = 20
_CALLS_MAX: Final = 200_000
_USERS: Final = ("ann", "bob", "")
_GONE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(slots=True)
class Call:
    """One check, and what became of it."""

    number: int
    company: str
    feature: str
    quantity: int
    key: str
    user: str
    answered: bool = False
    record_id: str = ""
    """Empty where it was denied, or never answered."""

    def request(self) -> pb.CheckAndIncrementRequest:
        return pb.CheckAndIncrementRequest(
            company=self.company,
            feature=self.feature,
            quantity=self.quantity,
            idempotency_key=self.key,
            dimensions={"user": self.user} if self.user else {},
            metadata={"call": str(self.number)},
        )


@dataclass(slots=True)
class Books:
    """What was asked of sidecars, and how it went."""

    calls: list[Call] = field(default_factory=list)
    answers: int = 0
    replays: int = 0
    broken_off: int = 0
    answers_of: Counter[str] = field(default_factory=Counter)
    """By the address of the sidecar that gave them."""
    wrong: list[str] = field(default_factory=list)
    """Answers that no sidecar may give."""

    def answered(self, call: Call, answer: pb.CheckAndIncrementResponse) -> None:
        """Note an answer."""
        self.answers += 1
        self.replays += answer.replayed
        if call.record_id and (answer.record_id != call.record_id or not answer.replayed):
            self.wrong.append(f"{call}: answered again, by {answer}")
        if answer.decision.allowed != bool(answer.record_id):
            self.wrong.append(f"{call}: {answer}")
        if not answer.decision.allowed and call.feature != EXPORTS:
            self.wrong.append(f"{call}: denied by {answer}")
        call.answered = True
        call.record_id = call.record_id or answer.record_id

    def summary(self) -> str:
        """Numbers for people."""
        allowed = sum(bool(call.record_id) for call in self.calls)
        answered = sum(call.answered for call in self.calls)
        return (
            f"{len(self.calls)} calls, {answered} answered, {allowed} allowed, "
            f"{self.replays} replayed, {self.broken_off} requests broken off"
        )


class Caller:
    """One client on a connection of its own; asks, one request after another, until told to stop.

    `rest_s`: between two requests, to leave the processor to others. `again`: sometimes repeat what
    was answered; the answer must be the same.
    """

    def __init__(
        self,
        address: str,
        books: Books,
        rng: random.Random,
        *,
        companies: Sequence[str],
        rest_s: float,
        again: bool,
    ) -> None:
        self._address = address
        self._books = books
        self._rng = rng
        self._companies = companies
        self._rest_s = rest_s
        self._again = again
        self._mine: list[Call] = []
        self._unanswered: list[Call] = []

    async def run(self, stop: asyncio.Event) -> None:
        """Ask until told to stop, and then until every call with a key is answered."""
        async with channel_to(self._address) as sidecar:
            stub = enforcement_pb2_grpc.EnforcementServiceStub(sidecar)
            while not stop.is_set() and len(self._books.calls) < _CALLS_MAX:
                await self._ask(stub, self._unanswered or self._new_calls())
                await asyncio.sleep(self._rest_s)
            while self._unanswered:
                await self._ask(stub, self._unanswered)

    def _new_calls(self) -> list[Call]:
        rng = self._rng
        if self._again and rng.random() < 0.1:
            known = [call for call in self._mine[-100:] if call.key and call.record_id]
            if known:
                return [rng.choice(known)]
        size = rng.randint(2, BATCH_MAX) if rng.random() < 0.3 else 1
        return [self._new_call() for _ in range(size)]

    def _new_call(self) -> Call:
        rng, number = self._rng, len(self._books.calls)
        call = Call(
            number,
            company=rng.choice(self._companies),
            feature=rng.choice((CALLS, CALLS, TOKENS, TOKENS, EXPORTS)),
            quantity=rng.randint(1, 9),
            key=f"key-{number}" if rng.random() < 0.7 else "",
            user=rng.choice(_USERS),
        )
        self._books.calls.append(call)
        self._mine.append(call)
        return call

    async def _ask(
        self, stub: enforcement_pb2_grpc.EnforcementServiceAsyncStub, calls: list[Call]
    ) -> None:
        try:
            answers = await self._exchange(stub, calls)
        except grpc.aio.AioRpcError as error:
            if error.code() not in _GONE:
                self._books.wrong.append(f"{error.code().name}: {error.details()}")
            self._books.broken_off += 1
            self._unanswered = [call for call in calls if call.key]
            return
        self._unanswered = []
        for call, answer in zip(calls, answers, strict=True):
            self._books.answered(call, answer)
        self._books.answers_of[self._address] += len(answers)

    async def _exchange(
        self, stub: enforcement_pb2_grpc.EnforcementServiceAsyncStub, calls: Sequence[Call]
    ) -> list[pb.CheckAndIncrementResponse]:
        """One request, waiting for the server if it is not there."""
        if len(calls) == 1:
            return [await stub.CheckAndIncrement(calls[0].request(), timeout=HANG_SECONDS_MAX)]
        batch = pb.BatchCheckAndIncrementRequest(checks=[call.request() for call in calls])
        many = await stub.BatchCheckAndIncrement(batch, timeout=HANG_SECONDS_MAX)
        errors = [outcome.error for outcome in many.outcomes if outcome.HasField("error")]
        self._books.wrong += map(str, errors)
        return [outcome.response for outcome in many.outcomes]


@asynccontextmanager
async def load(
    sidecar: Sidecar,
    books: Books,
    seed: int,
    *,
    callers: int = 4,
    companies: Sequence[str] = COMPANIES,
    rest_s: float = 0.0,
    again: bool = True,
) -> AsyncIterator[None]:
    """Ask a sidecar from several clients while the block lasts."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for number in range(callers):
            caller = Caller(
                sidecar.address,
                books,
                seeded(f"{seed}-{number}"),
                companies=companies,
                rest_s=rest_s,
                again=again,
            )
            group.create_task(caller.run(stop))
        try:
            yield
        finally:
            stop.set()
