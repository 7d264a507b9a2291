"""The methods of `EnforcementService` that count nothing, without gRPC: bytes in, bytes out."""

from __future__ import annotations

from collections.abc import Callable

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.text import KNOWN_NAMES
from sidecar.engine.query import Queries
from sidecar.engine.runner import Runner
from sidecar.engine.slicing import in_slices, in_steps
from sidecar.rpc import parse, response_messages
from sidecar.rpc.long_answers import entitlements_answer, usage_answer
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.host.context import CallContext


class QueryMethods:
    """Answers questions. `now` gives microseconds by the plane's clock."""

    def __init__(
        self,
        queries: Queries,
        runner: Runner,
        snapshot_fetcher: SnapshotFetcher,
        now: Callable[[], int],
    ) -> None:
        self._queries = queries
        self._runner = runner
        self._snapshot_fetcher = snapshot_fetcher
        self._now = now

    async def check(self, data: bytes, context: CallContext) -> bytes:
        """What a check would be answered."""
        now_us = self._now()
        request = parse.parse_message(pb.CheckRequest, data)
        check = parse.parse_question(request, now_us, self._queries.machine_ahead_us)
        result = await self._snapshot_fetcher.run(
            lambda asked: self._queries.check(check, now_us, asked), now_us, context.time_remaining
        )
        response = pb.CheckResponse()
        response_messages.fill_decision(response.decision, result.decision, result.basis)
        for usage in result.usages:
            response_messages.fill_limit_status(response.limits.add(), usage)
        return response.SerializeToString()

    async def get_usage(self, data: bytes, context: CallContext) -> bytes:
        """Usage of a company."""
        now_us = self._now()
        request = parse.parse_message(pb.GetUsageRequest, data)
        KNOWN_NAMES.require_identifier("company", request.company)
        if request.feature:
            KNOWN_NAMES.require_identifier("feature", request.feature)
        at_us, most, after = parse.parse_usage_page(request, now_us, self._queries.machine_ahead_us)
        async with self._snapshot_fetcher.obtained(
            frozenset((request.company,)), now_us, context.time_remaining
        ):
            report = await in_steps(
                self._runner,
                self._queries.usage(request.company, request.feature, at_us, now_us, most, after),
            )
        return await in_slices(usage_answer(report))

    async def get_entitlement(self, data: bytes, context: CallContext) -> bytes:
        """What a company may do with one feature."""
        now_us = self._now()
        request = parse.parse_message(pb.GetEntitlementRequest, data)
        KNOWN_NAMES.require_identifier("company", request.company)
        KNOWN_NAMES.require_identifier("feature", request.feature)
        at_us = parse.parse_any_time(request, now_us)
        async with self._snapshot_fetcher.obtained(
            frozenset((request.company,)), now_us, context.time_remaining
        ):
            report = await self._runner.run(
                lambda: self._queries.entitlements(request.company, request.feature, at_us, now_us)
            )
        response = pb.GetEntitlementResponse(
            entitlement=response_messages.entitlement_to_message(next(report.entitlements())),
            status=report.segment.status,  # type: ignore[arg-type]  # the numbers are the API's
            plan=report.segment.plan,
        )
        response_messages.fill_basis(response.basis, report.basis)
        return response.SerializeToString()

    async def list_entitlements(self, data: bytes, context: CallContext) -> bytes:
        """What a company may do with every feature."""
        now_us = self._now()
        request = parse.parse_message(pb.ListEntitlementsRequest, data)
        KNOWN_NAMES.require_identifier("company", request.company)
        at_us = parse.parse_any_time(request, now_us)
        async with self._snapshot_fetcher.obtained(
            frozenset((request.company,)), now_us, context.time_remaining
        ):
            report = await self._runner.run(
                lambda: self._queries.entitlements(request.company, "", at_us, now_us)
            )
        return await in_slices(entitlements_answer(report))
