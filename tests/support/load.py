"""Load on a sidecar that keeps books: what was asked, what was answered, what never was.

Every call has a number that travels in its record's metadata, so that the ledger can be held
against the books, call by call. A call with an idempotency key is repeated until it is answered;
one without is never repeated. A sidecar may refuse, where its disk fails, only with what the books
say.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, cast

import grpc

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.shared.call_errors import error_info
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.daemons import Sidecar
from tests.support.ledger import CALLS, COMPANIES, EXPORTS, TOKENS
from tests.support.seeds import seeded

BATCH_MAX: Final = 20
_CALLS_MAX: Final = 200_000
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}
_GONE: Final = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)


@dataclass(frozen=True, slots=True)
class Mix:
    """What is asked for: of features, each as often as it is named, up to so much, by whom."""

    features: Sequence[str] = (CALLS, CALLS, TOKENS, TOKENS, EXPORTS)
    quantity_max: int = 9
    users: Sequence[str] = ("ann", "bob", "")


_USUAL: Final = Mix()


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
    may_be_renamed: bool = False
    """It was asked again when keys were not remembered any more: the ledger knows a duplicate."""
    refused: bool = False
    """It has no key, and the sidecar said that it could not: then it has counted nothing."""

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
    refusals: frozenset[grpc.StatusCode] = frozenset()
    """What it may say, though, with a reason: the tests of failing disks set it."""
    refused: int = 0
    refused_last: str = ""
    """Why a call was refused, as told last."""

    def refuses(self, call: Call, code: grpc.StatusCode, why: str) -> None:
        """Note that a call was refused, with a reason."""
        self.refused += 1
        self.refused_last = why
        call.refused = not call.key
        if code not in self.refusals:
            self.wrong.append(f"{call}: {code.name}: {why}")

    def answered(self, call: Call, answer: pb.CheckAndIncrementResponse) -> None:
        """Note an answer."""
        self.answers += 1
        self.replays += answer.replayed
        if call.record_id and answer.decision.basis.HasField("remembered"):
            # It said that keys are not remembered for as long as promised: this one may count anew.
            call.may_be_renamed = True
        elif call.record_id and (answer.record_id != call.record_id or not answer.replayed):
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
            f"{self.replays} replayed, {self.refused} refused, "
            f"{self.broken_off} requests broken off; "
            f"refused last: {self.refused_last or 'nothing'}"
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
        mix: Mix,
        rest_s: float,
        again: bool,
    ) -> None:
        self._address = address
        self._books = books
        self._rng = rng
        self._companies = companies
        self._mix = mix
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
            try:
                async with asyncio.timeout(HANG_SECONDS_MAX):
                    while self._unanswered:
                        await self._ask(stub, self._unanswered)
                        await asyncio.sleep(self._rest_s)
            except TimeoutError:
                raise AssertionError(f"no answer to {self._unanswered[0]}") from None

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
            feature=rng.choice(self._mix.features),
            quantity=rng.randint(1, self._mix.quantity_max),
            key=f"key-{number}" if rng.random() < 0.7 else "",
            user=rng.choice(self._mix.users),
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
            self._failed(calls, error)
            return
        self._unanswered = []
        for call, answer in zip(calls, answers, strict=True):
            if isinstance(answer, pb.CheckError):
                self._books.refuses(call, _CODES[answer.code], answer.message)
                self._unanswered += [call] if call.key else []
            else:
                self._books.answered(call, answer)
                self._books.answers_of[self._address] += 1

    def _failed(self, calls: list[Call], error: grpc.aio.AioRpcError) -> None:
        code, said = error.code(), error.details() or ""
        is_reasoned = error_info(cast("grpc.Call", error)) is not None
        if is_reasoned and (code not in _GONE or code in self._books.refusals):
            for call in calls:
                self._books.refuses(call, code, said)
        elif code not in _GONE:
            self._books.wrong.append(f"{code.name}: {said}")
        self._books.broken_off += 1
        self._unanswered = [call for call in calls if call.key]

    async def _exchange(
        self, stub: enforcement_pb2_grpc.EnforcementServiceAsyncStub, calls: Sequence[Call]
    ) -> list[pb.CheckAndIncrementResponse | pb.CheckError]:
        """One request, waiting for the server if it is not there."""
        if len(calls) == 1:
            return [await stub.CheckAndIncrement(calls[0].request(), timeout=HANG_SECONDS_MAX)]
        batch = pb.BatchCheckAndIncrementRequest(checks=[call.request() for call in calls])
        many = await stub.BatchCheckAndIncrement(batch, timeout=HANG_SECONDS_MAX)
        return [
            outcome.error if outcome.HasField("error") else outcome.response
            for outcome in many.outcomes
        ]


@asynccontextmanager
async def _told_with(books: Books) -> AsyncIterator[None]:
    """Add a summary of the books to what fails."""
    try:
        yield
    except Exception as error:
        error.add_note(books.summary())
        raise


@asynccontextmanager
async def load(
    sidecar: Sidecar,
    books: Books,
    seed: int,
    *,
    callers: int = 4,
    companies: Sequence[str] = COMPANIES,
    mix: Mix = _USUAL,
    rest_s: float = 0.0,
    again: bool = True,
) -> AsyncIterator[None]:
    """Ask a sidecar from several clients while the block lasts.

    What fails in it says what the books say.
    """
    stop = asyncio.Event()
    async with _told_with(books), asyncio.TaskGroup() as group:
        for number in range(callers):
            caller = Caller(
                sidecar.address,
                books,
                seeded(f"{seed}-{number}"),
                companies=companies,
                mix=mix,
                rest_s=rest_s,
                again=again,
            )
            group.create_task(caller.run(stop))
        try:
            yield
        finally:
            stop.set()
