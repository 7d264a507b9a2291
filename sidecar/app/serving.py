"""The sidecar's services on the transport that was chosen."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sidecar.app.operations import SidecarOperations
from sidecar.app.parts import Parts
from sidecar.convert.status import status_of
from sidecar.host.grpcio import GrpcioServer
from sidecar.host.server import GrpcServer, with_standard_services
from sidecar.host.service import Service
from sidecar.ops.health import Health
from sidecar.rpc.admin import AdminMethods
from sidecar.rpc.services import admin_service, enforcement_service


def services(parts: Parts, operations: SidecarOperations) -> list[Service]:
    """What a sidecar serves, without gRPC's own."""
    return [
        enforcement_service(parts.methods, parts.query_methods, parts.watch_methods),
        admin_service(AdminMethods(operations)),
    ]


def grpc_server(parts: Parts, operations: SidecarOperations, health: Health) -> GrpcServer:
    """A server that is yet to listen."""
    config = parts.config
    return GrpcioServer(
        with_standard_services(services(parts, operations), health),
        rich=status_of,
        options=grpcio_options(config.message_bytes_max),
        # Watches have a bound of their own, and leave calls theirs.
        concurrent_calls_max=config.concurrent_calls_max + config.watches_max,
    )


def grpcio_options(message_bytes_max: int) -> Sequence[tuple[str, Any]]:
    """Options of grpcio. Pings of clients are tolerated down to every 5 seconds."""
    return (
        ("grpc.max_receive_message_length", message_bytes_max),
        ("grpc.max_send_message_length", message_bytes_max),
        ("grpc.max_metadata_size", 16 * 1024),
        ("grpc.so_reuseport", 0),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 5_000),
        ("grpc.http2.max_ping_strikes", 0),
    )
