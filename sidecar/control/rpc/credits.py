"""The service of credits, for whoever sells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecar.api.control.v1 import credits_pb2, credits_pb2_grpc
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc import credit_answers, credit_history_answers
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers


class CreditServicer(credits_pb2_grpc.CreditServiceServicer):
    """CreditService. `clock` gives microseconds since the Unix epoch."""

    def __init__(
        self, workers: Workers, hub: Hub, metrics: ControlMetrics, clock: Callable[[], int]
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock

    async def GrantCredits(  # noqa: N802
        self, request: credits_pb2.GrantCreditsRequest, context: Any
    ) -> credits_pb2.GrantCreditsResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response = await run(credit_answers.grant_credits, request, self._clock())
        if response.changed and not request.dry_run:
            await self._changed("granted")
        return response

    async def VoidCreditGrant(  # noqa: N802
        self, request: credits_pb2.VoidCreditGrantRequest, context: Any
    ) -> credits_pb2.VoidCreditGrantResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response, holders = await run(credit_answers.void_grant, request, self._clock())
        if response.changed and not request.dry_run:
            await self._changed("voided")
            self._metrics.leases.recalled.add(self._hub.recall(holders))
        return response

    async def ListCreditGrants(  # noqa: N802
        self, request: credits_pb2.ListCreditGrantsRequest, context: Any
    ) -> credits_pb2.ListCreditGrantsResponse:
        return await self._workers.read(credit_answers.list_grants, request, self._clock())

    async def GetCreditBalance(  # noqa: N802
        self, request: credits_pb2.GetCreditBalanceRequest, context: Any
    ) -> credits_pb2.GetCreditBalanceResponse:
        return await self._workers.read(credit_answers.get_balance, request, self._clock())

    async def ListCreditHistory(  # noqa: N802
        self, request: credits_pb2.ListCreditHistoryRequest, context: Any
    ) -> credits_pb2.ListCreditHistoryResponse:
        return await self._workers.read(credit_history_answers.history, request, self._clock())

    async def RefundCredits(  # noqa: N802
        self, request: credits_pb2.RefundCreditsRequest, context: Any
    ) -> credits_pb2.RefundCreditsResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response = await run(credit_history_answers.refund_credits, request, self._clock())
        if response.changed and not request.dry_run:
            await self._changed("refunded")
        return response

    async def _changed(self, change: str) -> None:
        """Have watchers told of a company that has changed, and of what counters have now."""
        self._metrics.credit_changes.add(change)
        await self._hub.refresh()
        self._hub.note_change()
