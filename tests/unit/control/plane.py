"""A control plane on a free port, and what calls it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any, NamedTuple, TypeVar

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2, sync_pb2_grpc
from sidecar.control.server import ControlPlane
from sidecar.control.storage.port import PlaneStore
from sidecar.shared.config import ControlConfig
from sidecar.shared.convert.catalog import catalog_to_message
from sidecar.shared.convert.companies import company_to_message
from tests.support.channels import channel_to
from tests.unit.control.support import CATALOG, Writer, company

Message = TypeVar("Message")

CONFIG = ControlConfig(listen="127.0.0.1:0", http_listen="127.0.0.1:0", drain_seconds_max=2)


class Calls(NamedTuple):
    """A running plane and its services."""

    plane: ControlPlane
    channel: grpc.aio.Channel
    control: Any
    sync: Any

    async def apply(
        self, *companies: str, catalog: bool = False, remove: tuple[str, ...] = ()
    ) -> int:
        response: control_pb2.ApplyResponse = await self.control.Apply(
            control_pb2.ApplyRequest(
                catalog=catalog_to_message(CATALOG) if catalog else None,
                companies=[company_to_message(company(name)) for name in companies],
                remove_companies=remove,
            )
        )
        return response.revision

    async def push(self, writer: Writer, first: int = 1) -> sync_pb2.PushUsageResponse:
        response: sync_pb2.PushUsageResponse = await self.sync.PushUsage(
            sync_pb2.PushUsageRequest(
                incarnation=writer.incarnation,
                first_sequence=first,
                previous_chain=writer.chains[first - 1],
                records=writer.records[first - 1 :],
            )
        )
        return response

    def watch(self, incarnation: str, resume: int = 0, without_companies: bool = False) -> Any:
        return self.sync.WatchSnapshots(
            sync_pb2.WatchSnapshotsRequest(
                incarnation=incarnation,
                resume_revision=resume,
                without_companies=without_companies,
            )
        )


class Refusal(NamedTuple):
    """How a call was refused."""

    code: grpc.StatusCode
    reason: str
    metadata: dict[str, str]


@asynccontextmanager
async def running(store: PlaneStore) -> AsyncIterator[Calls]:
    plane = ControlPlane(CONFIG, store)
    await plane.start()
    try:
        async with channel_to(plane.grpc_address) as channel:
            control = control_pb2_grpc.ControlServiceStub(channel)
            yield Calls(plane, channel, control, sync_pb2_grpc.SyncServiceStub(channel))
    finally:
        await plane.stop()


async def refusal(call: Awaitable[Any]) -> Refusal:
    """The refusal that a call ends in."""
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await call
    error = refused.value
    status = rpc_status.from_call(error)  # type: ignore[arg-type]  # it only reads metadata
    info = error_details_pb2.ErrorInfo()
    if status is not None:
        assert status.details[0].Unpack(info)
        assert ("tallyd", error.code().value[0]) == (info.domain, status.code)
    return Refusal(error.code(), info.reason, dict(info.metadata))
