"""The service for whoever sells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc import (
    apply_answers,
    company_answers,
    control_answers,
    lease_operations,
    level_answers,
    override_answers,
    subscription_answers,
)
from sidecar.control.rpc.seat_serving import SeatServing
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers


class ControlServicer(control_pb2_grpc.ControlServiceServicer):
    """ControlService. `clock` gives microseconds since the Unix epoch."""

    def __init__(
        self,
        workers: Workers,
        hub: Hub,
        metrics: ControlMetrics,
        clock: Callable[[], int],
        seats: SeatServing,
    ) -> None:
        self._workers = workers
        self._hub = hub
        self._metrics = metrics
        self._clock = clock
        self._seats = seats

    async def Apply(  # noqa: N802
        self, request: control_pb2.ApplyRequest, context: Any
    ) -> control_pb2.ApplyResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        earlier = self._metrics.sidecars.earlier()
        response = await run(apply_answers.apply_state, request, self._clock(), earlier)
        if not (request.dry_run or response.refused):
            self._metrics.applied.add(response.changed)
            await self._hub.refresh()
        return response

    async def GetCatalog(  # noqa: N802
        self, request: control_pb2.GetCatalogRequest, context: Any
    ) -> control_pb2.GetCatalogResponse:
        return await self._workers.read(control_answers.get_catalog)

    async def GetCompany(  # noqa: N802
        self, request: control_pb2.GetCompanyRequest, context: Any
    ) -> control_pb2.GetCompanyResponse:
        return await self._workers.read(control_answers.get_company, request, self._clock())

    async def CreateCompany(  # noqa: N802
        self, request: control_pb2.CreateCompanyRequest, context: Any
    ) -> control_pb2.CreateCompanyResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response = await run(company_answers.create_company, request, self._clock())
        if not request.dry_run:
            self._metrics.applied.add(int(response.created))
            await self._hub.refresh()
        return response

    async def RenameCompany(  # noqa: N802
        self, request: control_pb2.RenameCompanyRequest, context: Any
    ) -> control_pb2.RenameCompanyResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response = await run(company_answers.rename_company, request)
        if not request.dry_run:
            await self._hub.refresh()
        return response

    async def ListCompanies(  # noqa: N802
        self, request: control_pb2.ListCompaniesRequest, context: Any
    ) -> control_pb2.ListCompaniesResponse:
        return await self._workers.read(control_answers.list_companies, request)

    async def ListNames(  # noqa: N802
        self, request: control_pb2.ListNamesRequest, context: Any
    ) -> control_pb2.ListNamesResponse:
        return await self._workers.read(control_answers.list_names, request)

    async def ChangeSubscription(  # noqa: N802
        self, request: control_pb2.ChangeSubscriptionRequest, context: Any
    ) -> control_pb2.ChangeSubscriptionResponse:
        response = await self._workers.write(
            subscription_answers.change_subscription, request, self._clock()
        )
        self._metrics.subscription_changes.add(request.WhichOneof("change") or "")
        await self._hub.refresh()
        return response

    async def PreviewSubscription(  # noqa: N802
        self, request: control_pb2.ChangeSubscriptionRequest, context: Any
    ) -> control_pb2.ChangeSubscriptionResponse:
        return await self._workers.read(
            subscription_answers.preview_subscription, request, self._clock()
        )

    async def GrantOverride(  # noqa: N802
        self, request: control_pb2.GrantOverrideRequest, context: Any
    ) -> control_pb2.GrantOverrideResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        response = await run(override_answers.grant_override, request, self._clock())
        if not request.dry_run:
            await self._hub.refresh()
        return response

    async def RevokeOverride(  # noqa: N802
        self, request: control_pb2.RevokeOverrideRequest, context: Any
    ) -> control_pb2.RevokeOverrideResponse:
        response = await self._workers.write(
            override_answers.revoke_override, request, self._clock()
        )
        await self._hub.refresh()
        return response

    async def QueryUsage(  # noqa: N802
        self, request: control_pb2.QueryUsageRequest, context: Any
    ) -> control_pb2.QueryUsageResponse:
        return await self._workers.read(control_answers.query_usage, request)

    async def GetCompanyUsage(  # noqa: N802
        self, request: control_pb2.GetCompanyUsageRequest, context: Any
    ) -> control_pb2.GetCompanyUsageResponse:
        return await self._workers.read(control_answers.company_usage, request, self._clock())

    async def ListRecords(  # noqa: N802
        self, request: control_pb2.ListRecordsRequest, context: Any
    ) -> control_pb2.ListRecordsResponse:
        return await self._workers.read(control_answers.list_records, request)

    async def GetIncarnation(  # noqa: N802
        self, request: control_pb2.GetIncarnationRequest, context: Any
    ) -> control_pb2.GetIncarnationResponse:
        return await self._workers.read(control_answers.get_incarnation, request)

    async def ListLosses(  # noqa: N802
        self, request: control_pb2.ListLossesRequest, context: Any
    ) -> control_pb2.ListLossesResponse:
        return await self._workers.read(control_answers.list_losses, request)

    async def AcknowledgeLosses(  # noqa: N802
        self, request: control_pb2.AcknowledgeLossesRequest, context: Any
    ) -> control_pb2.AcknowledgeLossesResponse:
        return await self._workers.write(control_answers.acknowledge_losses, request, self._clock())

    async def GetLevelBill(  # noqa: N802
        self, request: control_pb2.GetLevelBillRequest, context: Any
    ) -> control_pb2.GetLevelBillResponse:
        return await self._workers.read(level_answers.get_level_bill, request, self._clock())

    async def ListLeases(  # noqa: N802
        self, request: control_pb2.ListLeasesRequest, context: Any
    ) -> control_pb2.ListLeasesResponse:
        watching = self._hub.watching_incarnations
        return await self._workers.read(lease_operations.list_, request, watching, self._clock())

    async def RecallLeases(  # noqa: N802
        self, request: control_pb2.RecallLeasesRequest, context: Any
    ) -> control_pb2.RecallLeasesResponse:
        watching = self._hub.watching_incarnations
        response, meant = await self._workers.read(
            lease_operations.recalls, request, watching, self._clock()
        )
        response.recalled = self._hub.recall(meant)
        response.unreached = len(meant) - response.recalled
        self._metrics.leases.recalled.add(response.recalled)
        return response

    async def SettleLeases(  # noqa: N802
        self, request: control_pb2.SettleLeasesRequest, context: Any
    ) -> control_pb2.SettleLeasesResponse:
        run = self._workers.read if request.dry_run else self._workers.write
        watching = self._hub.watching_incarnations
        response = await run(lease_operations.settle, request, watching, self._clock())
        if not request.dry_run:
            self._metrics.leases.released.add(response.settled)
            self._hub.note_change()
        return response

    async def GetLeaseRecovery(  # noqa: N802
        self, request: control_pb2.GetLeaseRecoveryRequest, context: Any
    ) -> control_pb2.GetLeaseRecoveryResponse:
        rewrites = self._metrics.leases.witness_rewrites
        return await self._workers.read(lease_operations.get_recovery, self._clock(), rewrites)

    async def EndLeaseRecovery(  # noqa: N802
        self, request: control_pb2.EndLeaseRecoveryRequest, context: Any
    ) -> control_pb2.EndLeaseRecoveryResponse:
        return await self._workers.write(lease_operations.end_recovery, request, self._clock())

    async def ListSeats(  # noqa: N802
        self, request: control_pb2.ListSeatsRequest, context: Any
    ) -> control_pb2.ListSeatsResponse:
        return await self._seats.list_seats(request)

    async def AcquireSeat(  # noqa: N802
        self, request: control_pb2.AcquireSeatRequest, context: Any
    ) -> control_pb2.AcquireSeatResponse:
        return await self._seats.acquire(request)

    async def ReleaseSeat(  # noqa: N802
        self, request: control_pb2.ReleaseSeatRequest, context: Any
    ) -> control_pb2.ReleaseSeatResponse:
        return await self._seats.release(request)
