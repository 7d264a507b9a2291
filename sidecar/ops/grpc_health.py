"""The process's health as grpc.health.v1 tells it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

from grpc_health.v1 import health_pb2
from grpc_health.v1.health import aio

from sidecar.ops.health import Health, Verdict

LIVENESS: Final = "liveness"
READINESS: Final = "readiness"

_SERVING: Final = health_pb2.HealthCheckResponse.SERVING
_NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING


class GrpcHealth:
    """Mirrors a `Health` into `servicer`, for a grpc.aio server.

    The services "" (the server as a whole), "readiness" and `services` tell readiness; "liveness"
    tells liveness. `publish` before the server starts: the servicer calls itself serving from
    birth. Then let `run` keep it up to date.
    """

    def __init__(self, health: Health, services: Iterable[str] = ()) -> None:
        self.servicer = aio.HealthServicer()
        self._health = health
        self._readiness_services = ("", READINESS, *services)

    async def publish(self) -> None:
        """Tell the present state."""
        await self.servicer.set(LIVENESS, _status(self._health.liveness()))
        status = _status(self._health.readiness())
        for service in self._readiness_services:
            await self.servicer.set(service, status)

    async def run(self) -> None:
        """Tell every change, until cancelled."""
        loop = asyncio.get_running_loop()
        changed = asyncio.Event()
        unsubscribe = self._health.subscribe(lambda: _set_soon(loop, changed))
        try:
            while True:
                changed.clear()
                await self.publish()
                await changed.wait()
        finally:
            unsubscribe()


def _set_soon(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    if not loop.is_closed():
        loop.call_soon_threadsafe(event.set)


def _status(verdict: Verdict) -> int:
    return _SERVING if verdict.passed else _NOT_SERVING
