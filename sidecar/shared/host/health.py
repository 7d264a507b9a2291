"""The process's health as grpc.health.v1 tells it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable
from typing import Final

from google.protobuf.message import DecodeError
from google.rpc import code_pb2
from grpc_health.v1 import health_pb2

from sidecar.shared.host.context import CallContext
from sidecar.shared.host.errors import CallFailed
from sidecar.shared.host.service import Service
from sidecar.shared.ops.health import Health

HEALTH_SERVICE: Final = "grpc.health.v1.Health"
LIVENESS: Final = "liveness"
READINESS: Final = "readiness"

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
_UNKNOWN: Final = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
_INVALID: Final[int] = code_pb2.INVALID_ARGUMENT
_NOT_FOUND: Final[int] = code_pb2.NOT_FOUND


class HealthMethods:
    """Tells a `Health`.

    The services "" (the server as a whole), "readiness" and `services` tell readiness; "liveness"
    tells liveness.
    """

    def __init__(self, health: Health, services: Iterable[str] = ()) -> None:
        self._health = health
        self._readiness_services = frozenset(("", READINESS, *services))

    def service(self) -> Service:
        """What to host."""
        return Service(
            HEALTH_SERVICE, unary={"Check": self.check}, server_stream={"Watch": self.watch}
        )

    async def check(self, data: bytes, context: CallContext) -> bytes:
        """The present state."""
        status = self._status(_parsed(data).service)
        if status == _UNKNOWN:
            raise CallFailed(_NOT_FOUND, "unknown service")
        return health_pb2.HealthCheckResponse(status=status).SerializeToString()

    async def watch(self, data: bytes, context: CallContext) -> AsyncGenerator[bytes, None]:
        """The present state, and every later one; a service may be unknown so far."""
        service = _parsed(data).service
        loop, changed = asyncio.get_running_loop(), asyncio.Event()
        unsubscribe = self._health.subscribe(lambda: _set_soon(loop, changed))
        told = None
        try:
            while True:
                changed.clear()
                status = self._status(service)
                if status != told:
                    yield health_pb2.HealthCheckResponse(status=status).SerializeToString()
                    told = status
                await changed.wait()
        finally:
            unsubscribe()

    def _status(self, service: str) -> int:
        if service in self._readiness_services:
            verdict = self._health.readiness()
        elif service == LIVENESS:
            verdict = self._health.liveness()
        else:
            return _UNKNOWN
        return _SERVING if verdict.passed else _NOT_SERVING


def _parsed(data: bytes) -> health_pb2.HealthCheckRequest:
    try:
        return health_pb2.HealthCheckRequest.FromString(data)
    except DecodeError as error:
        raise CallFailed(_INVALID, "the request is no valid message") from error


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    """Health may change on any thread."""
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)
