"""Sends the checks of a trace to a sidecar: so many calls in flight, so many checks a call.

All workers draw from one iterator over the file, so memory holds what is in flight and no more.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias, cast

import grpc
import grpc.aio
import uvloop

from sidecar.api.enforcement.v1 import enforcement_pb2, enforcement_pb2_grpc
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.time.units import MILLISECOND_US, SECOND_US
from sidecar.shared.backoff import Backoff
from sidecar.shared.call_errors import error_info
from sidecar.shared.convert.times import timestamp
from sidecar.traces.model import SkippedLine, TraceCheck, TraceError
from sidecar.traces.summary import ReplaySummary
from sidecar.traces.trace import Trace, TraceScan, with_row_key

ATTEMPTS_MAX: Final = 14
"""With the pauses below, a sidecar has about ten seconds to restart."""
PAUSE_FIRST_US: Final = 50 * MILLISECOND_US
PAUSE_US_MAX: Final = SECOND_US
CALL_TIMEOUT_S: Final = 30.0
CALL_BYTES_MAX: Final = 2 * 1024 * 1024
"""A batch is closed early at this size: half of what a sidecar takes unless configured."""

_CHANNEL_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    # Otherwise up to two minutes pass before a sidecar that is back is noticed. Nothing is said of
    # `min_reconnect_backoff_ms`: it is how long an attempt to connect may take as well.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1000),
)

_UP_TO: Final = enforcement_pb2.GRANT_MODE_UP_TO
_ALL_OR_NOTHING: Final = enforcement_pb2.GRANT_MODE_ALL_OR_NOTHING

Request: TypeAlias = enforcement_pb2.CheckAndIncrementRequest
Outcome: TypeAlias = enforcement_pb2.CheckAndIncrementResponse | enforcement_pb2.CheckError


class ReplayJob(NamedTuple):
    """A check to send, and the line of the trace that it comes from."""

    line: int
    request: Request


@dataclass(frozen=True, slots=True)
class ReplayPlan:
    """How to send. `batch`: checks a call; 0 for calls of one check.

    `shift_us` is added to every event time; `None` sends none, so that all happens now.
    `row_keys`: whether keys made of the row replace those of the trace.
    """

    concurrency: int = 8
    batch: int = 0
    shift_us: int | None = None
    row_keys: bool = False


def jobs_of(trace: Trace, scan: TraceScan, plan: ReplayPlan) -> Iterator[ReplayJob]:
    """Read the checks of a trace once more, up to where the scan ended."""
    name = f"{trace.format_name}-{trace.identity()}" if plan.row_keys else ""
    for item in trace.items(last_line=scan.last_line):
        if isinstance(item, SkippedLine):
            continue
        for check in item.checks:
            keyed = with_row_key(check, name, item.line) if name else check
            yield ReplayJob(item.line, _request_of(keyed, plan.shift_us))


def replay(
    address: str,
    jobs: Iterable[ReplayJob],
    plan: ReplayPlan,
    on_sent: Callable[[int], None] = lambda count: None,
    connect_s_max: float = 10.0,
) -> ReplaySummary:
    """Send everything; `on_sent` hears of checks as they are settled.

    Raises `TimeoutError` if the sidecar cannot be reached at first, `TraceError` if the file can
    no longer be read. What fails later is counted.
    """
    # A sixth more calls a second than asyncio's own loop, measured against one sidecar.
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_replay(address, jobs, plan, on_sent, connect_s_max))


async def _replay(
    address: str,
    jobs: Iterable[ReplayJob],
    plan: ReplayPlan,
    on_sent: Callable[[int], None],
    connect_s_max: float,
) -> ReplaySummary:
    async with grpc.aio.insecure_channel(address, options=_CHANNEL_OPTIONS) as channel:
        async with asyncio.timeout(connect_s_max):
            await channel.channel_ready()
        stub = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        driver = _Driver(stub, plan, on_sent)
        started = time.monotonic()
        calls = _grouped(iter(jobs), plan.batch or 1)
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(plan.concurrency):
                    group.create_task(driver.work(calls))
        except* TraceError as errors:
            raise errors.exceptions[0] from None
        driver.tally.seconds = time.monotonic() - started
        return driver.tally


class _Driver:
    def __init__(
        self,
        stub: enforcement_pb2_grpc.EnforcementServiceAsyncStub,
        plan: ReplayPlan,
        on_sent: Callable[[int], None],
    ) -> None:
        self._stub = stub
        self._ask = self._ask_batch if plan.batch else self._ask_one
        self._on_sent = on_sent
        self.tally = ReplaySummary()

    async def work(self, calls: Iterator[list[ReplayJob]]) -> None:
        for jobs in calls:
            if self.tally.gave_up:
                return
            await self._settle(jobs)
            self._on_sent(len(jobs))

    async def _settle(self, jobs: list[ReplayJob]) -> None:
        """Get an outcome for each; ask again where that is safe and may help."""
        backoff = Backoff(_half_or_more, first_us=PAUSE_FIRST_US, ceiling_us=PAUSE_US_MAX)
        for attempt in range(1, ATTEMPTS_MAX + 1):
            again = []
            self.tally.calls += 1
            for job, outcome in zip(jobs, await self._ask(jobs), strict=True):
                if isinstance(outcome, enforcement_pb2.CheckAndIncrementResponse):
                    self.tally.add_answer(job.request, outcome)
                elif attempt < ATTEMPTS_MAX and _may_ask_again(job, outcome):
                    again.append(job)
                else:
                    self.tally.add_error(job.line, job.request, outcome)
                    # The same keys will go on from here; the sidecar is away for longer.
                    self.tally.gave_up |= _may_ask_again(job, outcome)
            if not again:
                return
            jobs = again
            await asyncio.sleep(backoff.failed() / SECOND_US)

    async def _ask_one(self, jobs: Sequence[ReplayJob]) -> Sequence[Outcome]:
        try:
            return [await self._stub.CheckAndIncrement(jobs[0].request, timeout=CALL_TIMEOUT_S)]
        except grpc.aio.AioRpcError as error:
            return [_error_of(error)]

    async def _ask_batch(self, jobs: Sequence[ReplayJob]) -> Sequence[Outcome]:
        batch = enforcement_pb2.BatchCheckAndIncrementRequest(checks=[job.request for job in jobs])
        try:
            answer = await self._stub.BatchCheckAndIncrement(batch, timeout=CALL_TIMEOUT_S)
        except grpc.aio.AioRpcError as error:
            return [_error_of(error)] * len(jobs)
        return [
            outcome.response if outcome.HasField("response") else outcome.error
            for outcome in answer.outcomes
        ]


def _request_of(check: TraceCheck, shift_us: int | None) -> Request:
    event_time = None
    if shift_us is not None and check.event_us is not None:
        event_time = timestamp(check.event_us + shift_us)
    return Request(
        company=check.company,
        feature=check.feature,
        quantity=check.quantity,
        idempotency_key=check.idempotency_key,
        event_time=event_time,
        dimensions=check.dimensions,
        metadata=check.metadata,
        grant_mode=_UP_TO if check.mode is GrantMode.UP_TO else _ALL_OR_NOTHING,
    )


def _grouped(jobs: Iterator[ReplayJob], count_max: int) -> Iterator[list[ReplayJob]]:
    group: list[ReplayJob] = []
    size_bytes = 0
    for job in jobs:
        job_bytes = job.request.ByteSize()
        if group and (len(group) == count_max or size_bytes + job_bytes > CALL_BYTES_MAX):
            yield group
            group, size_bytes = [], 0
        group.append(job)
        size_bytes += job_bytes
    if group:
        yield group


def _may_ask_again(job: ReplayJob, error: enforcement_pb2.CheckError) -> bool:
    """Whether nothing is counted twice by it: the call may have been served, its answer lost."""
    unavailable: int = grpc.StatusCode.UNAVAILABLE.value[0]
    return bool(job.request.idempotency_key) and error.code == unavailable


def _half_or_more() -> float:
    """Never so little that the attempts would be over before a sidecar has restarted."""
    return random.uniform(0.5, 1.0)  # noqa: S311 - no secret depends on it


def _error_of(error: grpc.aio.AioRpcError) -> enforcement_pb2.CheckError:
    info = error_info(cast("grpc.Call", error))
    return enforcement_pb2.CheckError(
        code=error.code().value[0],
        reason=info.reason if info and info.reason else error.code().name,
        message=error.details() or "",
        field=info.metadata.get("field", "") if info else "",
    )
