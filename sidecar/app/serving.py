"""The sidecar's services on the transport that was chosen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from sidecar.app.container import Container
from sidecar.app.operations import SidecarOperations
from sidecar.engine.runner import Runner
from sidecar.front import Bounds, UnaryCall
from sidecar.rpc.admin import AdminMethods
from sidecar.rpc.services import admin_service, enforcement_service
from sidecar.shared.convert.status import status_of
from sidecar.shared.host.grpcio import GrpcioServer
from sidecar.shared.host.lifecycle import descriptors_left_for_connections
from sidecar.shared.host.native import NativeServer
from sidecar.shared.host.server import GrpcServer, with_standard_services
from sidecar.shared.host.service import Service
from sidecar.shared.ops.health import Health


def services(container: Container, operations: SidecarOperations) -> list[Service]:
    """What a sidecar serves, without gRPC's own."""
    return [
        enforcement_service(
            container.methods,
            container.query_methods,
            container.watch_methods,
            container.level_methods,
            container.seat_methods,
        ),
        admin_service(AdminMethods(operations)),
    ]


def grpc_server(container: Container, operations: SidecarOperations, health: Health) -> GrpcServer:
    """A server that is yet to listen."""
    config = container.config
    hosted = with_standard_services(services(container, operations), health)
    # Watches have a bound of their own, and leave calls theirs.
    calls_max = config.concurrent_calls_max + config.watches_max
    if config.transport == "grpcio":
        return GrpcioServer(
            hosted,
            rich=status_of,
            options=grpcio_options(config.message_bytes_max),
            concurrent_calls_max=calls_max,
            call_counts=container.metrics.calls.row,
        )
    return NativeServer(
        hosted,
        rich=status_of,
        bounds=Bounds(
            message_bytes_max=config.message_bytes_max,
            calls_max=calls_max,
            # Past it connections are taken and cut; without descriptors they could not even be.
            connections_max=min(Bounds().connections_max, descriptors_left_for_connections()),
        ),
        answer_read=_answering_together(container.runner),
        refused=container.metrics.refusals.add,
        call_counts=container.metrics.calls.row,
    )


def _answering_together(runner: Runner) -> Callable[[Sequence[UnaryCall]], None]:
    """Answers the calls that one read brought: their steps share a commit."""

    def answer_read(calls: Sequence[UnaryCall]) -> None:
        if len(calls) == 1:
            calls[0].handle()
            return
        runner.begin_group()
        try:
            for call in calls:
                call.handle()
        finally:
            runner.end_group()

    return answer_read


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
