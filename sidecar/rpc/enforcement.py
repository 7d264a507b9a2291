"""The methods of `EnforcementService` that count: bytes go in, bytes come out.

They know no transport: a call is whatever carries a message, is answered once, and knows how long
its caller waits. Each parses its request and hands a job to the runner; the job's step decides on
the store's thread, and its answer is encoded here once it is durable. Where the step needs
something of the plane first, the call waits for it in a task, and the step is run again.
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, Sequence
from typing import Any, Final

from google.protobuf.message import DecodeError

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import BATCH_MAX
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.engine.needs import NOTHING, Needs
from sidecar.engine.runner import Runner
from sidecar.rpc import parse, response_messages
from sidecar.rpc.deciding import Decided, Deciding, Request
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.host.context import CallContext, HostedCall
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

parse_check_message: Final = pb.CheckAndIncrementRequest.FromString


class EnforcementMethods:
    """Answers checks and reports."""

    def __init__(
        self, store: Store, deciding: Deciding, runner: Runner, snapshot_fetcher: SnapshotFetcher
    ) -> None:
        self.transact = store.transact
        self.deciding = deciding
        self._runner = runner
        self._snapshot_fetcher = snapshot_fetcher
        self._waiting: set[asyncio.Task[None]] = set()

    def check_and_increment(self, call: HostedCall) -> None:
        """One check."""
        self._runner.submit(_CheckJob(self, call))

    def record_usage(self, call: HostedCall) -> None:
        """One report of what has happened."""
        self._runner.submit(_RecordJob(self, call))

    def batch_check_and_increment(self, call: HostedCall) -> None:
        """Up to 1,000 checks in one durable step."""
        self._runner.submit(_BatchJob(self, call))

    async def stream_check_and_increment(
        self, requests: AsyncIterable[bytes], context: CallContext
    ) -> AsyncGenerator[bytes, None]:
        """Checks as they come; each outcome is given before the next request is read."""
        async for data in requests:
            job = _StreamJob(self, data)
            try:
                result = await self._runner.run(job.work)
                if isinstance(result, Needs):
                    result = await self.run_again(job, result, context)
            except FieldError as error:
                self.deciding.failed(error)
                yield response_messages.batch_of([response_messages.outcome_of_error(error)])
            else:
                yield job.encoded(result)

    async def run_again(self, job: _Job, needs: Needs, context: CallContext) -> Any:
        """Get what a job's step needs, as far as it can be had, and run it again."""

        def step(asked: Needs) -> Any:
            job.asked = asked
            return job.work()

        now_us, deadline = self.deciding.now(), context.time_remaining
        fetcher = self._snapshot_fetcher
        return await fetcher.run_again(step, needs, now_us, deadline, job.asked)

    def make_do(self, job: UnaryJob, needs: Needs) -> None:
        """Run a job's step again by what is known, as if what it needs could not be had."""
        job.asked = job.asked.with_more(needs)
        if needs.leases:
            job.asked = job.asked.without_leases()
        self._runner.submit(job)

    def wait(self, job: UnaryJob, needs: Needs) -> None:
        """Let a call wait, in a task of its own, for what its step needs."""
        try:
            job.defer()
        except Exception as error:
            job.cannot_wait(needs, error)
            return
        task = asyncio.create_task(job.run_again(needs))
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)


class _Job(ABC):
    """A call on its way through a step."""

    __slots__ = ("asked", "methods", "started_ns")

    def __init__(self, methods: EnforcementMethods) -> None:
        self.methods = methods
        self.asked: Needs = NOTHING
        self.started_ns = time.perf_counter_ns()

    def work(self) -> Any:
        """Run the step."""
        return self.methods.transact(self.step)

    @abstractmethod
    def step(self, transaction: Transaction) -> Any:
        """The step."""


class UnaryJob(_Job):
    """A unary call. Subclasses say what its step is, and how the result is told."""

    __slots__ = ("call",)

    def __init__(self, methods: EnforcementMethods, call: HostedCall) -> None:
        # All of a base's fields here: a call more is felt on the path of a check.
        self.methods = methods
        self.asked = NOTHING
        self.started_ns = time.perf_counter_ns()
        self.call = call

    def defer(self) -> None:
        """The answer comes later. Raises where too many calls wait."""
        self.call.defer()

    def settle(self, result: Any, error: Exception | None) -> None:
        """Answer the call, or let it wait for what the step needs."""
        if error is not None:
            self.fail(error)
        elif type(result) is Needs:
            self.methods.wait(self, result)
        else:
            try:
                data = self.encoded(result)
            except Exception as error_in_encoding:
                self.fail(error_in_encoding)
            else:
                self.call.answer(data)

    def cannot_wait(self, needs: Needs, error: Exception) -> None:
        """Too many calls wait already: end this one with the error.

        What is decided about exact limits without more leases is an answer, and no error.
        """
        if needs.leases:
            self.methods.make_do(self, needs)
        else:
            self.call.fail(error)

    async def run_again(self, needs: Needs) -> None:
        """Get what the step needs, run it again, and answer."""
        try:
            result = await self.methods.run_again(self, needs, self.call)
        except Exception as error:
            self.fail(error)
        else:
            self.settle(result, None)

    @abstractmethod
    def encoded(self, result: Any) -> bytes:
        """The answer's bytes."""

    def fail(self, error: Exception) -> None:
        """End the call with an error."""
        self.methods.deciding.failed(error)
        self.call.fail(error)


class _CheckJob(UnaryJob):
    __slots__ = ("request",)

    request: Request

    def step(self, transaction: Transaction) -> Decided | Needs:
        try:
            request = self.request = parse_check_message(self.call.message)
        except DecodeError:
            request = parse.parse_message(pb.CheckAndIncrementRequest, self.call.message)
        deciding = self.methods.deciding
        now_us = deciding.now()
        answer = deciding.usual_answer(transaction, request, now_us)
        return answer or deciding.by_the_rules(request, now_us, self.asked)

    def settle(self, result: Any, error: Exception | None) -> None:
        if type(result) is bytes:
            took_ns = time.perf_counter_ns() - self.started_ns
            deciding = self.methods.deciding
            deciding.counted(self.request.feature, took_ns)
            if deciding.watched:
                deciding.touch(self.request)
            self.call.answer(result)
        else:
            super().settle(result, error)

    def encoded(self, result: Decided) -> bytes:
        took_ns = time.perf_counter_ns() - self.started_ns
        return self.methods.deciding.encoded(self.request, result, took_ns)


class _RecordJob(_CheckJob):
    __slots__ = ()

    def step(self, transaction: Transaction) -> Decided | Needs:
        request = parse.parse_message(pb.RecordUsageRequest, self.call.message)
        self.request = request
        return self.methods.deciding.report(request, self.asked)

    def cannot_wait(self, needs: Needs, error: Exception) -> None:
        """What has happened is recorded by what is known, rather than refused."""
        self.methods.make_do(self, needs)

    def encoded(self, result: Decided) -> bytes:
        return response_messages.record_answer(super().encoded(result))


class _BatchJob(UnaryJob):
    __slots__ = ("requests",)

    def __init__(self, methods: EnforcementMethods, call: HostedCall) -> None:
        super().__init__(methods, call)
        self.requests: Sequence[pb.CheckAndIncrementRequest] = ()

    def step(self, transaction: Transaction) -> list[Decided | FieldError] | Needs:
        batch = parse.parse_message(pb.BatchCheckAndIncrementRequest, self.call.message)
        # A list: an element of the message's own is made anew each time it is looked at.
        self.requests = requests = list(batch.checks)
        if not 1 <= len(requests) <= BATCH_MAX:
            raise InvalidInput("checks", f"must have 1 to {BATCH_MAX} entries")
        return self.methods.deciding.checks(
            transaction, requests, self.asked, len(self.call.message)
        )

    def encoded(self, result: Sequence[Decided | FieldError]) -> bytes:
        return _encoded_outcomes(self, self.requests, result, "checks[{}]")

    def fail(self, error: Exception) -> None:
        """End the call with an error, which is that of each of its checks."""
        for _ in self.requests[1:]:
            self.methods.deciding.failed(error)
        super().fail(error)


class _StreamJob(_Job):
    """One check of a stream: what is wrong with it is an outcome, too."""

    __slots__ = ("_data", "_requests")

    def __init__(self, methods: EnforcementMethods, data: bytes) -> None:
        super().__init__(methods)
        self._data = data
        self._requests: Sequence[pb.CheckAndIncrementRequest] = ()

    def step(self, transaction: Transaction) -> list[Decided | FieldError] | Needs:
        request = parse.parse_message(pb.StreamCheckAndIncrementRequest, self._data)
        self._requests = [request.check]
        return self.methods.deciding.checks(
            transaction, self._requests, self.asked, len(self._data)
        )

    def encoded(self, result: Sequence[Decided | FieldError]) -> bytes:
        """The bytes of a `StreamCheckAndIncrementResponse`."""
        return _encoded_outcomes(self, self._requests, result, "check")


def _encoded_outcomes(
    job: _Job,
    requests: Sequence[pb.CheckAndIncrementRequest],
    outcomes: Sequence[Decided | FieldError],
    path: str,
) -> bytes:
    """Outcomes of many checks. `path`: where one is in the request, with {} for its index."""
    deciding = job.methods.deciding
    each_ns = (time.perf_counter_ns() - job.started_ns) // len(outcomes)
    encoded: list[bytes] = []
    for index, outcome in enumerate(outcomes):
        if isinstance(outcome, FieldError):
            deciding.failed(outcome)
            error = parse.with_path(outcome, path.format(index))
            encoded.append(response_messages.outcome_of_error(error))
        else:
            answer = deciding.encoded(requests[index], outcome, each_ns)
            encoded.append(response_messages.outcome_of(answer))
    return response_messages.batch_of(encoded)
