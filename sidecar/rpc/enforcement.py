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
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Coroutine, Sequence
from typing import Any, Protocol

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import BATCH_MAX
from sidecar.domain.decision import FallbackCause, Reason
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.requests import Check
from sidecar.host.context import CallContext, UnaryCall
from sidecar.rpc import answers, parse
from sidecar.rpc.missing import MissingSnapshots
from sidecar.service.enforce import Answer, EncodeAnswer, Enforcer, Outcome, Replay
from sidecar.service.needs import NOTHING, Needs
from sidecar.service.runner import Runner
from sidecar.service.watchlist import Watchlist


class Observer(Protocol):
    """Counts what was decided; called for every decision, so it must be cheap."""

    def decided(self, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int) -> None:
        """A check was answered, after so long."""
        ...

    def fell_back(self, cause: FallbackCause, allowed: bool) -> None:
        """The fail policy decided about a check."""
        ...

    def shadow_denied(self, feature: str, limits: Sequence[str]) -> None:
        """SHADOW limits of a feature would have denied a check."""
        ...

    def failed(self, reason: str) -> None:
        """A check could not be answered."""
        ...


class EnforcementMethods:
    """Answers checks and reports. `now` gives microseconds by the plane's clock.

    `watchlist`: who is to be woken by what is counted; `None`: nobody ever.
    """

    def __init__(
        self,
        enforcer: Enforcer,
        encode: EncodeAnswer,
        runner: Runner,
        missing: MissingSnapshots,
        observer: Observer,
        now: Callable[[], int],
        watchlist: Watchlist | None = None,
    ) -> None:
        self.enforcer = enforcer
        self.now = now
        self._encode = encode
        self._runner = runner
        self._missing = missing
        self._observer = observer
        self._watchlist = watchlist
        self._waiting: set[asyncio.Task[None]] = set()

    def check_and_increment(self, call: UnaryCall) -> None:
        """One check."""
        self._runner.submit(_CheckJob(self, call))

    def record_usage(self, call: UnaryCall) -> None:
        """One report of what has happened."""
        self._runner.submit(_RecordJob(self, call))

    def batch_check_and_increment(self, call: UnaryCall) -> None:
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
                self.observe_failure(error)
                yield answers.batch_of([answers.outcome_of_error(error)])
            else:
                yield job.encoded(result)

    async def run_again(self, job: _Job, needs: Needs, context: CallContext) -> Any:
        """Get what a job's step needs, as far as it can be had, and run it again."""
        job.asked = needs
        async with self._missing.obtained(needs.snapshots, self.now(), context.time_remaining):
            return await self._runner.run(job.work)

    def wait(self, work: Coroutine[Any, Any, None]) -> None:
        """Let a call wait in a task of its own."""
        task = asyncio.create_task(work)
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)

    def observe(self, company: str, feature: str, outcome: Answer | Replay, took_ns: int) -> None:
        """Count an answer, and wake who watches."""
        observer = self._observer
        if type(outcome) is Replay:
            observer.decided(True, Reason.ALLOWED, True, took_ns)
            allowed = True
        else:
            assert isinstance(outcome, Answer)
            decision, fallback = outcome.decision, outcome.basis.fallback
            allowed = decision.allowed
            observer.decided(allowed, decision.reason, False, took_ns)
            if fallback:
                observer.fell_back(fallback, allowed)
            if decision.shadow_denials:
                observer.shadow_denied(feature, decision.shadow_denials)
        if self._watchlist and allowed:
            self._watchlist.touch(company, feature)

    def observe_failure(self, error: Exception) -> None:
        """Count a check that could not be answered."""
        self._observer.failed(error.reason if isinstance(error, FieldError) else "INTERNAL")

    def encoded(self, outcome: Answer | Replay) -> bytes:
        """The bytes of a `CheckAndIncrementResponse`."""
        if isinstance(outcome, Replay):
            return answers.replayed(outcome.kept)
        if outcome.kept:
            return outcome.kept
        return self._encode(outcome.decision, outcome.basis, outcome.record_id)


class _Job(ABC):
    """A call on its way through a step."""

    __slots__ = ("asked", "methods", "started_ns")

    def __init__(self, methods: EnforcementMethods) -> None:
        self.methods = methods
        self.asked: Needs = NOTHING
        self.started_ns = time.perf_counter_ns()

    @abstractmethod
    def work(self) -> Any:
        """The step."""


class _UnaryJob(_Job):
    """A unary call. Subclasses say what its step is, and how the result is told."""

    __slots__ = ("call",)

    def __init__(self, methods: EnforcementMethods, call: UnaryCall) -> None:
        super().__init__(methods)
        self.call = call

    def settle(self, result: Any, error: Exception | None) -> None:
        """Answer the call, or let it wait for what the step needs."""
        if error is not None:
            self._fail(error)
        elif type(result) is Needs:
            self.methods.wait(self._run_again(result))
        else:
            try:
                data = self.encoded(result)
            except Exception as error_in_encoding:
                self._fail(error_in_encoding)
            else:
                self.call.answer(data)

    @abstractmethod
    def encoded(self, result: Any) -> bytes:
        """The answer's bytes."""

    async def _run_again(self, needs: Needs) -> None:
        try:
            result = await self.methods.run_again(self, needs, self.call)
        except Exception as error:
            self._fail(error)
        else:
            self.settle(result, None)

    def _fail(self, error: Exception) -> None:
        self.methods.observe_failure(error)
        self.call.fail(error)


class _CheckJob(_UnaryJob):
    __slots__ = ("request",)

    request: pb.CheckAndIncrementRequest | pb.RecordUsageRequest

    def work(self) -> Answer | Replay | Needs:
        now_us = self.methods.now()
        request = parse.parse_message(pb.CheckAndIncrementRequest, self.call.message)
        self.request = request
        check = parse.parse_check(request, now_us)
        return self.methods.enforcer.check_and_increment(check, now_us, self.asked)

    def encoded(self, result: Answer | Replay) -> bytes:
        self.methods.observe(
            self.request.company,
            self.request.feature,
            result,
            time.perf_counter_ns() - self.started_ns,
        )
        return self.methods.encoded(result)


class _RecordJob(_CheckJob):
    __slots__ = ()

    def work(self) -> Answer | Replay | Needs:
        now_us = self.methods.now()
        request = parse.parse_message(pb.RecordUsageRequest, self.call.message)
        self.request = request
        check = parse.parse_record(request, now_us)
        return self.methods.enforcer.check_and_increment(check, now_us, self.asked)

    def encoded(self, result: Answer | Replay) -> bytes:
        return answers.record_answer(super().encoded(result))


class _Checks:
    """Checks of one request, decided as one. `path`: where one is, with {} for its index."""

    __slots__ = ("path", "requests")

    def __init__(self, requests: Sequence[pb.CheckAndIncrementRequest], path: str) -> None:
        self.requests = requests
        self.path = path

    def decide(self, job: _Job) -> list[Outcome] | Needs:
        now_us = job.methods.now()
        checks: list[Check | FieldError] = []
        for request in self.requests:
            try:
                checks.append(parse.parse_check(request, now_us))
            except FieldError as error:
                checks.append(error)
        return job.methods.enforcer.check_and_increment_each(checks, now_us, job.asked)

    def encoded(self, job: _Job, outcomes: Sequence[Outcome]) -> bytes:
        each_ns = (time.perf_counter_ns() - job.started_ns) // len(outcomes)
        return answers.batch_of(
            [
                self._outcome(job.methods, index, outcome, each_ns)
                for index, outcome in enumerate(outcomes)
            ]
        )

    def _outcome(
        self, methods: EnforcementMethods, index: int, outcome: Outcome, took_ns: int
    ) -> bytes:
        if isinstance(outcome, FieldError):
            methods.observe_failure(outcome)
            return answers.outcome_of_error(parse.with_path(outcome, self.path.format(index)))
        request = self.requests[index]
        methods.observe(request.company, request.feature, outcome, took_ns)
        return answers.outcome_of(methods.encoded(outcome))


class _BatchJob(_UnaryJob):
    __slots__ = ("checks",)

    checks: _Checks

    def work(self) -> list[Outcome] | Needs:
        request = parse.parse_message(pb.BatchCheckAndIncrementRequest, self.call.message)
        if not 1 <= len(request.checks) <= BATCH_MAX:
            raise InvalidInput("checks", f"must have 1 to {BATCH_MAX} entries")
        self.checks = _Checks(request.checks, "checks[{}]")
        return self.checks.decide(self)

    def encoded(self, result: Sequence[Outcome]) -> bytes:
        return self.checks.encoded(self, result)


class _StreamJob(_Job):
    """One check of a stream: what is wrong with it is an outcome, too."""

    __slots__ = ("_checks", "_data")

    def __init__(self, methods: EnforcementMethods, data: bytes) -> None:
        super().__init__(methods)
        self._data = data
        self._checks = _Checks((), "check")

    def work(self) -> list[Outcome] | Needs:
        request = parse.parse_message(pb.StreamCheckAndIncrementRequest, self._data)
        self._checks = _Checks([request.check], "check")
        return self._checks.decide(self)

    def encoded(self, result: Sequence[Outcome]) -> bytes:
        return self._checks.encoded(self, result)
