"""What every daemon of ours serves beside its own services, and what its transport can do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from sidecar.shared.host.health import HEALTH_SERVICE, HealthMethods
from sidecar.shared.host.service import Service
from sidecar.shared.host.servicers import service_of
from sidecar.shared.ops.health import Health


class GrpcServer(Protocol):
    """Hosts services on a transport."""

    def listen_unix(self, path: str) -> None:
        """Listen on a Unix socket. A stale one, that a killed process left behind, is removed.

        Raises `CannotListen`.
        """
        ...

    def listen_tcp(self, address: str) -> int:
        """Listen on HOST:PORT; the port, which was chosen if 0 was asked for.

        Raises `CannotListen`.
        """
        ...

    async def listen_again(self) -> list[str]:
        """Bind Unix sockets anew that are no longer at their paths; which these were.

        Raises `CannotListen`, as where another process has bound one there.
        """
        ...

    async def start(self) -> None:
        """Serve."""
        ...

    async def stop(self, grace_seconds: float) -> None:
        """Take no more calls, let those under way finish within the grace, and end."""
        ...


def with_standard_services(services: Sequence[Service], health: Health) -> list[Service]:
    """Services, with gRPC's health checking and reflection of them all."""
    names = [service.name for service in services]
    reflected = (*names, HEALTH_SERVICE, reflection.SERVICE_NAME)
    return [
        *services,
        HealthMethods(health, names).service(),
        service_of(
            reflection_pb2_grpc.add_ServerReflectionServicer_to_server,
            reflection.aio.ReflectionServicer(reflected),
        ),
    ]
