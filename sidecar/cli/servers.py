"""The way to a sidecar or a control plane, and what to tell when a call fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Literal, TypeAlias, cast

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli.common import CliError, ExitCode
from sidecar.shared.call_errors import error_info

CURRENT_PLANE_QUESTION: Final = control_pb2.ListLeasesRequest(page_size=1)
"""A call that came with the newest fields of requests; what it answers is of no interest."""
MESSAGE_BYTES_MAX: Final = 64 * 1024 * 1024
"""Most that is taken from a server in one message."""

Server: TypeAlias = Literal["sidecar", "control"]
_NAMES: Final[Mapping[Server, str]] = {"sidecar": "sidecar", "control": "control plane"}
_SERVICES: Final[Mapping[Server, str]] = {
    "sidecar": "sidecar.api.enforcement.v1.EnforcementService",
    "control": "sidecar.api.control.v1.ControlService",
}
"""By which of its services a server is known."""
_LOOK_SECONDS: Final = 2.0
_HTTP_1: Final = "http1.x server"
"""What grpcio says of a server that answers in HTTP/1."""
_BAD_INPUT: Final = frozenset(
    {
        grpc.StatusCode.INVALID_ARGUMENT,
        grpc.StatusCode.FAILED_PRECONDITION,
        grpc.StatusCode.OUT_OF_RANGE,
        grpc.StatusCode.NOT_FOUND,
        grpc.StatusCode.ALREADY_EXISTS,
    }
)


@contextmanager
def connect(server: Server, address: str) -> Iterator[grpc.Channel]:
    """Open a channel to a server, and close it at the end.

    Nothing is sent before the first call. A gRPC error inside the block becomes a `CliError`.
    """
    options = [
        # Both servers are near, whatever the environment says of a proxy for the web.
        ("grpc.enable_http_proxy", 0),
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ]
    with grpc.insecure_channel(address, options=options) as channel:
        try:
            yield channel
        except grpc.RpcError as error:
            # What a stub raises is the call itself, which grpcio's types do not tell.
            call = cast("grpc.Call", error)
            if call.code() is grpc.StatusCode.UNIMPLEMENTED:
                _refuse_other_server(channel, server, address)
                _refuse_earlier_version(channel, server, address)
            raise error_of_call(call, server, address) from None


def _refuse_other_server(channel: grpc.Channel, wanted: Server, address: str) -> None:
    """Raise `CliError` where the address is that of the other kind of server."""
    other: Server = "control" if wanted == "sidecar" else "sidecar"
    try:
        health_of(channel, _SERVICES[other], _LOOK_SECONDS)
    except grpc.RpcError:
        return
    name, variable = _NAMES[wanted], f"TALLYD_{wanted.upper()}"
    raise CliError(
        f"{address} is a {_NAMES[other]}, not a {name}",
        exit_code=ExitCode.USAGE,
        reason="OTHER_SERVER",
        hint=f"Give the {name}'s address to --{wanted} or {variable}",
    )


def _refuse_earlier_version(channel: grpc.Channel, server: Server, address: str) -> None:
    """Raise `CliError` where a server of the right kind does not know the call."""
    try:
        health_of(channel, _SERVICES[server], _LOOK_SECONDS)
    except grpc.RpcError:
        return
    raise CliError(
        f"the {_NAMES[server]} at {address} is of an earlier version, which does not know this",
        reason="EARLIER_VERSION",
        hint=f"Update the {_NAMES[server]} first",
    )


def require_current_plane(channel: grpc.Channel, timeout_s: float) -> None:
    """Raise the error of a call that is not known where a control plane is of an earlier version.

    To be asked before each request for a change: an earlier version skips the fields that it does
    not know, and would do something else than asked.
    """
    stub = control_pb2_grpc.ControlServiceStub(channel)
    stub.ListLeases(CURRENT_PLANE_QUESTION, timeout=timeout_s)


def health_of(channel: grpc.Channel, service: str, timeout_s: float) -> str:
    """Ask grpc.health.v1 for a service, "" for all: `SERVING`, `NOT_SERVING` or `UNKNOWN`."""
    stub: Any = health_pb2_grpc.HealthStub(channel)
    answer = stub.Check(health_pb2.HealthCheckRequest(service=service), timeout=timeout_s)
    return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


def error_of_call(call: grpc.Call, server: Server, address: str) -> CliError:
    """Turn a failed call into what to tell, from its status and `google.rpc.ErrorInfo`."""
    status, details = call.code(), call.details() or ""
    info = error_info(call)
    reason, field = (info.reason, info.metadata.get("field", "")) if info else ("", "")
    name = _NAMES[server]
    if not reason and _HTTP_1 in details:
        return CliError(
            f"{address} speaks HTTP, as probes and metrics have it, and not gRPC",
            exit_code=ExitCode.USAGE,
            reason="OTHER_SERVER",
            hint=f"Give the {name}'s gRPC address to --{server} or TALLYD_{server.upper()}",
        )
    if not reason and status is grpc.StatusCode.UNAVAILABLE:
        return CliError(
            f"cannot reach the {name} at {address}: {_last_clause(details)}",
            exit_code=ExitCode.UNREACHABLE,
            reason=status.name,
            hint=f"Is it running there? Another address: --{server}",
        )
    if not reason and status is grpc.StatusCode.DEADLINE_EXCEEDED:
        return CliError(
            f"the {name} at {address} did not answer in time",
            exit_code=ExitCode.UNREACHABLE,
            reason=status.name,
            hint="A longer wait: --timeout",
        )
    return CliError(
        details or status.name,
        exit_code=ExitCode.USAGE if status in _BAD_INPUT else ExitCode.FAILED,
        reason=reason or status.name,
        field=field,
    )


def _last_clause(details: str) -> str:
    """Return the cause alone; grpcio puts its own words and the address before it."""
    return details.rstrip(": ").rpartition(": ")[2]
