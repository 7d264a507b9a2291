"""The five ways to ask a sidecar whether a company may go on, alike for the test that uses them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.inside import Inside

Requests = Sequence[pb.CheckAndIncrementRequest]


async def call(
    way: str, sidecar: Inside, *requests: pb.CheckAndIncrementRequest
) -> list[pb.CheckOutcome]:
    """Outcomes of checks that are asked in one of `WAYS`, one for each."""
    return await WAYS[way](sidecar, requests)


def no_deadline() -> float | None:
    """A caller that waits for ever."""
    return None


async def _check(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    found = []
    for request in requests:
        data = await sidecar.methods.check_and_increment(request.SerializeToString(), no_deadline)
        answer = pb.CheckAndIncrementResponse.FromString(data)
        found.append(pb.CheckOutcome(response=answer))
    return found


async def _batch(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    batch = pb.BatchCheckAndIncrementRequest(checks=requests)
    data = await sidecar.methods.batch_check_and_increment(batch.SerializeToString(), no_deadline)
    return list(pb.BatchCheckAndIncrementResponse.FromString(data).outcomes)


async def _stream(sidecar: Inside, requests: Requests) -> list[pb.CheckOutcome]:
    async def sent() -> AsyncIterator[bytes]:
        for request in requests:
            yield pb.StreamCheckAndIncrementRequest(check=request).SerializeToString()

    answers = sidecar.methods.stream_check_and_increment(sent(), no_deadline)
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
        data = await sidecar.query_methods.check(question.SerializeToString(), no_deadline)
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
        data = await sidecar.methods.record_usage(report.SerializeToString(), no_deadline)
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
