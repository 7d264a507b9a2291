"""The methods of `EnforcementService`, without gRPC: bytes go in, bytes come out.

Errors are `FieldError`s. So another front than grpcio can host the same methods.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Sequence, Set
from typing import Final, Protocol, TypeAlias

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import BATCH_MAX
from sidecar.domain.decision import Reason
from sidecar.domain.errors import FieldError, InvalidInput
from sidecar.domain.requests import Check, require_identifier
from sidecar.rpc import answers, parse
from sidecar.service.directory import Directory
from sidecar.service.enforce import Answer, Enforcer, Outcome
from sidecar.service.query import Queries
from sidecar.service.runner import Runner

Deadline: TypeAlias = Callable[[], float | None]
"""Seconds that are left to the caller; `None` for no end. A function, since few calls ask."""

_UNKNOWN_COMPANY: Final = Reason.UNKNOWN_COMPANY


class Observer(Protocol):
    """Counts what was decided; called for every decision, so it must be cheap."""

    def decided(self, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int) -> None:
        """A check was answered, after so long."""
        ...

    def failed(self, reason: str) -> None:
        """A check could not be answered."""
        ...


class SnapshotSource(Protocol):
    """Where companies' snapshots come from when they are not held."""

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        """Get them, within the caller's remaining time; come back without what can't be had."""
        ...


class EnforcementMethods:
    """Answers the calls of one service. `now` gives microseconds by the plane's clock."""

    def __init__(
        self,
        enforcer: Enforcer,
        queries: Queries,
        directory: Directory,
        runner: Runner,
        source: SnapshotSource | None,
        observer: Observer,
        now: Callable[[], int],
    ) -> None:
        self._enforcer = enforcer
        self._queries = queries
        self._directory = directory
        self._runner = runner
        self._source = source
        self._observer = observer
        self._now = now

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
        self._observe(answer, time.perf_counter_ns() - started_ns)
        return _data_of(answer)

    async def record_usage(self, data: bytes, deadline: Deadline) -> bytes:
        """One report of what has happened."""
        started_ns = time.perf_counter_ns()
        try:
            now_us = self._now()
            request = parse.parse_message(pb.RecordUsageRequest, data)
            answer = await self._decide(parse.parse_record(request, now_us), now_us, deadline)
        except FieldError as error:
            self._observer.failed(error.reason)
            raise
        self._observe(answer, time.perf_counter_ns() - started_ns)
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

    async def check(self, data: bytes, deadline: Deadline) -> bytes:
        """What a check would be answered."""
        now_us = self._now()
        request = parse.parse_message(pb.CheckRequest, data)
        check = parse.parse_question(request, now_us)
        await self._obtain({check.company}, now_us, deadline)
        result = await self._runner.run(lambda: self._queries.check(check, now_us))
        response = pb.CheckResponse()
        answers.fill_decision(response.decision, result.decision, result.basis)
        for gauge in result.gauges:
            answers.fill_limit_status(response.limits.add(), gauge)
        return response.SerializeToString()

    async def get_usage(self, data: bytes, deadline: Deadline) -> bytes:
        """Usage of a company."""
        now_us = self._now()
        request = parse.parse_message(pb.GetUsageRequest, data)
        require_identifier("company", request.company)
        if request.feature:
            require_identifier("feature", request.feature)
        at_us = parse.parse_event_time("at", request, now_us)
        await self._obtain({request.company}, now_us, deadline)
        report = await self._runner.run(
            lambda: self._queries.usage(request.company, request.feature, at_us, now_us)
        )
        response = pb.GetUsageResponse(truncated=report.truncated)
        for feature, gauges in report.features:
            usage = response.features.add(feature=feature)
            for gauge in gauges:
                answers.fill_limit_status(usage.limits.add(), gauge)
        answers.fill_basis(response.basis, report.basis)
        return response.SerializeToString()

    async def get_entitlement(self, data: bytes, deadline: Deadline) -> bytes:
        """What a company may do with one feature."""
        now_us = self._now()
        request = parse.parse_message(pb.GetEntitlementRequest, data)
        require_identifier("company", request.company)
        require_identifier("feature", request.feature)
        at_us = parse.parse_event_time("at", request, now_us)
        await self._obtain({request.company}, now_us, deadline)
        report = await self._runner.run(
            lambda: self._queries.entitlements(request.company, request.feature, at_us, now_us)
        )
        response = pb.GetEntitlementResponse(
            entitlement=answers.entitlement_to_message(report.entitlements[0]),
            status=report.status,  # type: ignore[arg-type]  # the numbers are the API's
            plan=report.plan,
        )
        answers.fill_basis(response.basis, report.basis)
        return response.SerializeToString()

    async def list_entitlements(self, data: bytes, deadline: Deadline) -> bytes:
        """What a company may do with every feature."""
        now_us = self._now()
        request = parse.parse_message(pb.ListEntitlementsRequest, data)
        require_identifier("company", request.company)
        at_us = parse.parse_event_time("at", request, now_us)
        await self._obtain({request.company}, now_us, deadline)
        report = await self._runner.run(
            lambda: self._queries.entitlements(request.company, "", at_us, now_us)
        )
        response = pb.ListEntitlementsResponse(
            entitlements=map(answers.entitlement_to_message, report.entitlements),
            status=report.status,  # type: ignore[arg-type]  # the numbers are the API's
            plan=report.plan,
        )
        answers.fill_basis(response.basis, report.basis)
        return response.SerializeToString()

    async def _decide(self, check: Check, now_us: int, deadline: Deadline) -> Answer:
        answer = await self._runner.run(lambda: self._enforcer.check_and_increment(check, now_us))
        if answer.reason is not _UNKNOWN_COMPANY or answer.allowed:
            return answer
        if not await self._obtain({check.company}, now_us, deadline):
            return answer
        return await self._runner.run(lambda: self._enforcer.check_and_increment(check, now_us))

    async def _decide_each(
        self, requests: Sequence[pb.CheckAndIncrementRequest], path: str, deadline: Deadline
    ) -> list[bytes]:
        """Outcomes, in order. `path`: where a check is in the request, with {} for its index."""
        started_ns = time.perf_counter_ns()
        now_us = self._now()
        checks: list[Check | FieldError] = []
        for request in requests:
            try:
                checks.append(parse.parse_check(request, now_us))
            except FieldError as error:
                checks.append(error)
        outcomes = await self._runner.run(
            lambda: self._enforcer.check_and_increment_each(checks, now_us)
        )
        await self._decide_unknown(checks, outcomes, now_us, deadline)
        each_ns = (time.perf_counter_ns() - started_ns) // len(outcomes)
        return [
            self._encode_error(parse.with_path(outcome, path.format(index)))
            if isinstance(outcome, FieldError)
            else self._encode(outcome, each_ns)
            for index, outcome in enumerate(outcomes)
        ]

    async def _decide_unknown(
        self,
        checks: Sequence[Check | FieldError],
        outcomes: list[Outcome],
        now_us: int,
        deadline: Deadline,
    ) -> None:
        """Get the snapshots that were missing, and decide those checks again."""
        again = {
            index: check
            for index, (check, outcome) in enumerate(zip(checks, outcomes, strict=True))
            if isinstance(check, Check)
            and isinstance(outcome, Answer)
            and outcome.reason is _UNKNOWN_COMPANY
            and not outcome.allowed
        }
        companies = {check.company for check in again.values()}
        if not again or not await self._obtain(companies, now_us, deadline):
            return
        decided = await self._runner.run(
            lambda: self._enforcer.check_and_increment_each(tuple(again.values()), now_us)
        )
        for index, outcome in zip(again, decided, strict=True):
            outcomes[index] = outcome

    async def _obtain(self, companies: Set[str], now_us: int, deadline: Deadline) -> bool:
        """Get snapshots that are not held; whether there were such."""
        source = self._source
        if source is None:
            return False
        missing = await self._runner.run(
            lambda: [name for name in companies if not self._directory.holds(name, now_us)]
        )
        if missing:
            await source.fetch(missing, deadline())
        return bool(missing)

    def _encode(self, answer: Answer, nanoseconds: int) -> bytes:
        self._observe(answer, nanoseconds)
        return answers.outcome_of(_data_of(answer))

    def _encode_error(self, error: FieldError) -> bytes:
        self._observer.failed(error.reason)
        return answers.outcome_of_error(error)

    def _observe(self, answer: Answer, nanoseconds: int) -> None:
        self._observer.decided(answer.allowed, answer.reason, answer.replayed, nanoseconds)


def _data_of(answer: Answer) -> bytes:
    return answers.replayed(answer.data) if answer.replayed else answer.data
