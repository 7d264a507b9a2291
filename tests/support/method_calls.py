"""The five ways to ask a sidecar whether a company may go on, alike for the test that uses them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.shared.host.context import Metadata
from sidecar.shared.host.service import UnaryHandler
from tests.support.inside import Inside

Requests = Sequence[pb.CheckAndIncrementRequest]


async def call(
    way: str, sidecar: Inside, *requests: pb.CheckAndIncrementRequest
) -> list[pb.CheckOutcome]:
    """Outcomes of checks that are asked in one of `WAYS`, one for each."""
    return await WAYS[way](sidecar, requests)


class Caller:
    """Who calls: on the same machine, without metadata. `seconds`: how long it waits."""

    peer = "unix:"
    metadata: Metadata = ()

    def __init__(self, seconds: float | None = None) -> None:
        self._seconds = seconds

    def time_remaining(self) -> float | None:
        return self._seconds


ANYONE: Final = Caller()
"""A caller that waits for ever."""


class Call(Caller):
    """A unary call, and what came of it."""

    def __init__(self, message: bytes, seconds: float | None = None) -> None:
        super().__init__(seconds)
        self.message = message
        self.answered: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def defer(self) -> None:
        """It may wait."""

    def answer(self, message: bytes, /) -> None:
        self.answered.set_result(message)

    def fail(self, error: Exception, /) -> None:
        self.answered.set_exception(error)


async def answer_of(handler: UnaryHandler, message: bytes, seconds: float | None = None) -> bytes:
    """What a handler answers to a call; raises what it fails with."""
    one = Call(message, seconds)
    handler(one)
    return await one.answered


async def _check(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    found = []
    for request in requests:
        data = await answer_of(sidecar.methods.check_and_increment, request.SerializeToString())
        answer = pb.CheckAndIncrementResponse.FromString(data)
        found.append(pb.CheckOutcome(response=answer))
    return found


async def _batch(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    batch = pb.BatchCheckAndIncrementRequest(checks=requests)
    data = await answer_of(sidecar.methods.batch_check_and_increment, batch.SerializeToString())
    return list(pb.BatchCheckAndIncrementResponse.FromString(data).outcomes)


async def _stream(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    async def sent() -> AsyncIterator[bytes]:
        for request in requests:
            yield pb.StreamCheckAndIncrementRequest(check=request).SerializeToString()

    answers = sidecar.methods.stream_check_and_increment(sent(), ANYONE)
    return [pb.StreamCheckAndIncrementResponse.FromString(data).outcome async for data in answers]


async def _question(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    found = []
    for request in requests:
        question = pb.CheckRequest(
            company=request.company,
            feature=request.feature,
            quantity=request.quantity,
            dimensions=request.dimensions,
            grant_mode=request.grant_mode,
        )
        data = await sidecar.query_methods.check(question.SerializeToString(), ANYONE)
        decision = pb.CheckResponse.FromString(data).decision
        found.append(pb.CheckOutcome(response=pb.CheckAndIncrementResponse(decision=decision)))
    return found


async def _record(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    found = []
    for request in requests:
        report = pb.RecordUsageRequest(
            company=request.company,
            feature=request.feature,
            quantity=request.quantity,
            dimensions=request.dimensions,
        )
        data = await answer_of(sidecar.methods.record_usage, report.SerializeToString())
        answer = pb.RecordUsageResponse.FromString(data)
        response = pb.CheckAndIncrementResponse(
            decision=answer.decision, record_id=answer.record_id
        )
        found.append(pb.CheckOutcome(response=response))
    return found


WAYS: Final[Mapping[str, Callable[[Inside, Requests], Awaitable[list[pb.CheckOutcome]]]]] = {
    "check": _check,
    "batch": _batch,
    "stream": _stream,
    "question": _question,
    "record": _record,
}
COUNTING: Final = ("check", "batch", "stream")
"""The ways that count, and may be denied."""
