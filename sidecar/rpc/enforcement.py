"""The methods of `EnforcementService` that count, without gRPC: bytes go in, bytes come out.

Errors are `FieldError`s. So another front than grpcio can host the same methods.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence
from typing import Protocol

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import BATCH_MAX
from sidecar.domain.decision import FallbackCause, Reason
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.requests import Check
from sidecar.rpc import answers, parse
from sidecar.rpc.missing import Deadline, MissingSnapshots
from sidecar.service.enforce import Answer, Enforcer
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
        runner: Runner,
        missing: MissingSnapshots,
        observer: Observer,
        now: Callable[[], int],
        watchlist: Watchlist | None = None,
    ) -> None:
        self._enforcer = enforcer
        self._runner = runner
        self._missing = missing
        self._observer = observer
        self._now = now
        self._watchlist = watchlist

    async def check_and_increment(self, data: bytes, deadline: Deadline) -> bytes:
        """One check."""
        started_ns = time.perf_counter_ns()
        try:
            now_us = self._now()
            request = parse.parse_message(pb.CheckAndIncrementRequest, data)
            check = parse.parse_check(request, now_us)
            answer = await self._decide(check, now_us, deadline)
        except FieldError as error:
            self._observer.failed(error.reason)
            raise
        self._observe(check, answer, time.perf_counter_ns() - started_ns)
        return _data_of(answer)

    async def record_usage(self, data: bytes, deadline: Deadline) -> bytes:
        """One report of what has happened."""
        started_ns = time.perf_counter_ns()
        try:
            now_us = self._now()
            request = parse.parse_message(pb.RecordUsageRequest, data)
            check = parse.parse_record(request, now_us)
            answer = await self._decide(check, now_us, deadline)
        except FieldError as error:
            self._observer.failed(error.reason)
            raise
        self._observe(check, answer, time.perf_counter_ns() - started_ns)
        return answers.record_answer(_data_of(answer))

    async def batch_check_and_increment(self, data: bytes, deadline: Deadline) -> bytes:
        """Up to 1,000 checks in one durable step."""
        request = parse.parse_message(pb.BatchCheckAndIncrementRequest, data)
        if not 1 <= len(request.checks) <= BATCH_MAX:
            raise InvalidInput("checks", f"must have 1 to {BATCH_MAX} entries")
        outcomes = await self._decide_each(request.checks, "checks[{}]", deadline)
        return answers.batch_of(outcomes)

    async def stream_check_and_increment(
        self, requests: AsyncIterable[bytes], deadline: Deadline
    ) -> AsyncIterator[bytes]:
        """Checks as they come; each outcome is given before the next request is read."""
        async for data in requests:
            try:
                request = parse.parse_message(pb.StreamCheckAndIncrementRequest, data)
                outcomes = await self._decide_each([request.check], "check", deadline)
            except FieldError as error:
                self._observer.failed(error.reason)
                outcomes = [answers.outcome_of_error(error)]
            yield answers.batch_of(outcomes)

    async def _decide(self, check: Check, now_us: int, deadline: Deadline) -> Answer:
        answer = await self._runner.run(lambda: self._enforcer.check_and_increment(check, now_us))
        if not answer.missing:
            return answer
        async with self._missing.obtained({check.company}, now_us, deadline):
            return await self._runner.run(
                lambda: self._enforcer.check_and_increment(check, now_us, final=True)
            )

    async def _decide_each(
        self, requests: Sequence[pb.CheckAndIncrementRequest], path: str, deadline: Deadline
    ) -> list[bytes]:
        """Outcomes, in order. `path`: where a check is in the request, with {} for its index."""
        started_ns = time.perf_counter_ns()
        checks, now_us = self._parse_each(requests)
        outcomes = await self._runner.run(
            lambda: self._enforcer.check_and_increment_all(checks, now_us)
        )
        if outcomes is None:
            companies = {check.company for check in checks if isinstance(check, Check)}
            async with self._missing.obtained(companies, now_us, deadline):
                again, later_us = self._parse_each(requests)
                outcomes = await self._runner.run(
                    lambda: self._enforcer.check_and_increment_each(again, later_us, final=True)
                )
        each_ns = (time.perf_counter_ns() - started_ns) // len(outcomes)
        return [
            self._encode_error(parse.with_path(outcome, path.format(index)))
            if isinstance(outcome, FieldError)
            else self._encode(requests[index], outcome, each_ns)
            for index, outcome in enumerate(outcomes)
        ]

    def _parse_each(
        self, requests: Sequence[pb.CheckAndIncrementRequest]
    ) -> tuple[list[Check | FieldError], int]:
        """Checks as of now, or what is wrong with them; and the time."""
        now_us = self._now()
        checks: list[Check | FieldError] = []
        for request in requests:
            try:
                checks.append(parse.parse_check(request, now_us))
            except FieldError as error:
                checks.append(error)
        return checks, now_us

    def _encode(
        self, request: pb.CheckAndIncrementRequest, answer: Answer, nanoseconds: int
    ) -> bytes:
        self._observe(request, answer, nanoseconds)
        return answers.outcome_of(_data_of(answer))

    def _encode_error(self, error: FieldError) -> bytes:
        self._observer.failed(error.reason)
        return answers.outcome_of_error(error)

    def _observe(
        self, check: Check | pb.CheckAndIncrementRequest, answer: Answer, nanoseconds: int
    ) -> None:
        observer = self._observer
        observer.decided(answer.allowed, answer.reason, answer.replayed, nanoseconds)
        if answer.fallback:
            observer.fell_back(answer.fallback, answer.allowed)
        if answer.shadow_denials:
            observer.shadow_denied(check.feature, answer.shadow_denials)
        if self._watchlist and answer.allowed:
            self._watchlist.touch(check.company, check.feature)


def _data_of(answer: Answer) -> bytes:
    return answers.replayed(answer.data) if answer.replayed else answer.data
