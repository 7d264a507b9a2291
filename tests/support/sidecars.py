"""A sidecar of the test's own process: real store, real gRPC on a Unix socket, a clock that is set.

It is an authority without a control plane, on the companies and plans that the test gives it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from sidecar.api.admin.v1 import admin_pb2_grpc
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from sidecar.app.container import Container, LoadedStore
from sidecar.app.operations import SidecarOperations
from sidecar.app.serving import grpc_server
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.health import Health
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.sync.machine.clock import TimeEstimate
from tests.support.build import NOW_US, catalog_snapshot
from tests.support.channels import channel_to

WAYS: Final = [
    pytest.param({"durability": "process"}, id="process"),
    pytest.param({"durability": "disk"}, id="disk"),
    pytest.param({"durability": "process", "transport": "grpcio"}, id="process, grpcio"),
]
"""Settings under which a sidecar must answer the same."""


class Failure(NamedTuple):
    """What a call failed with."""

    code: grpc.StatusCode
    reason: str
    field: str


class Serving:
    """A sidecar that serves. `api` and `admin` are stubs on `channel`."""

    def __init__(self, container: Container, health: Health, channel: grpc.aio.Channel) -> None:
        self.container = container
        self.health = health
        self.channel = channel
        # Generated stubs are typed for synchronous channels too.
        self.api: Any = enforcement_pb2_grpc.EnforcementServiceStub(channel)
        self.admin: Any = admin_pb2_grpc.AdminServiceStub(channel)

    def apply(self, content: Catalog, *companies: Company) -> None:
        """Replace what is sold, and add companies or change them; the clock is set to `NOW_US`."""
        container = self.container
        version = 1 + (container.directory.index.version if container.directory.index else 0)
        compiled = [compile_snapshot(company, version) for company in companies]
        container.directory.apply(SnapshotChanges(catalog_snapshot(content, version), compiled))
        container.catalog_known.set()
        self.set_clock(NOW_US)

    def set_clock(self, now_us: int) -> None:
        """Let it be this instant for the sidecar; time goes on from there."""
        set_clock(self.container, now_us)


def set_clock(container: Container, now_us: int) -> None:
    """Let it be this instant for a sidecar in the test's process; time goes on from there.

    Its machine's clock says the same: a check may be stamped by the one or by the other.
    """
    clock, authority = container.clock, container.plane_status.authority
    ahead_us = now_us - ticks_us()
    clock._wall, clock._wall_ahead_us = lambda: ahead_us + ticks_us(), ahead_us
    clock._estimate = TimeEstimate(None, "", now_us, ticks_us(), authority=authority)
    clock._follow(None)


@asynccontextmanager
async def serving(
    folder: Path,
    content: Catalog,
    companies: Sequence[Company],
    **settings: Any,
) -> AsyncIterator[Serving]:
    """Serve until the block ends. `settings`: fields of `SidecarConfig`."""
    socket = folder / "s.sock"
    config = SidecarConfig(
        standalone="catalog.yaml",
        store_path=str(folder / "store"),
        socket_path=str(socket),
        listen="",
        **settings,
    )
    container = Container(config, LoadedStore(config))
    health = Health()
    try:
        async with hosted(container, health), channel_to(f"unix:{socket}") as channel:
            found = Serving(container, health, channel)
            found.apply(content, *companies)
            yield found
    finally:
        await container.close()


@asynccontextmanager
async def hosted(container: Container, health: Health) -> AsyncIterator[None]:
    """Serve on the socket of the parts' settings, as the daemon does.

    The one place where tests put a sidecar's server together.
    """
    server = grpc_server(container, SidecarOperations(container, health, NOW_US), health)
    server.listen_unix(container.config.socket_path)
    await server.start()
    try:
        yield
    finally:
        await server.stop(0)


async def failure_of(call: Awaitable[object]) -> Failure:
    """How a call fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)  # type: ignore[arg-type]  # it reads metadata only
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        assert detail.Unpack(info)
        assert "tallyd" == info.domain
    return Failure(caught.value.code(), info.reason, info.metadata.get("field", ""))
