"""The control plane as a process: builds it, runs it, and stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal, Protocol

import grpc
import structlog
import uvloop
from grpc_health.v1 import health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from sidecar import __version__
from sidecar.api.control.v1 import control_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2_grpc
from sidecar.control.errors import AddressRefused, StoreRefused
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rpc.control import ControlServicer
from sidecar.control.rpc.hub import Hub
from sidecar.control.rpc.methods import register
from sidecar.control.rpc.rollover import RolloverTask
from sidecar.control.rpc.sync import SyncServicer
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.sweep import sweep
from sidecar.control.storage.port import Store
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.domain.errors import TallydError
from sidecar.ops.grpc_health import GrpcHealth
from sidecar.ops.health import Health, keep_beating
from sidecar.ops.http import HttpServer, probe_routes
from sidecar.ops.logs import configure_logging

CANNOT_RUN: Final = 4
SWEEP_S: Final = 60.0
SWEEP_PAUSE_S: Final = 0.05

_log = structlog.get_logger(__name__)


def now_us() -> int:
    """The plane's clock: microseconds since the Unix epoch."""
    return time.time_ns() // 1_000


class Settings(Protocol):
    """What a control plane has to be told; see the configuration for meanings and bounds.

    Addresses are HOST:PORT or [IPv6 address]:PORT; an empty `http_listen` is none.
    """

    @property
    def database_path(self) -> str: ...
    @property
    def listen(self) -> str: ...
    @property
    def http_listen(self) -> str: ...
    @property
    def concurrent_calls_max(self) -> int: ...
    @property
    def message_bytes_max(self) -> int: ...
    @property
    def drain_seconds_max(self) -> int: ...
    @property
    def log_level(self) -> str: ...
    @property
    def log_format(self) -> Literal["json", "console"]: ...


class ControlPlane:
    """A control plane on a store: `start` it, and `stop` it once. The store stays the caller's."""

    def __init__(self, settings: Settings, store: Store, clock: Callable[[], int] = now_us) -> None:
        self.grpc_address = ""
        self.http_address = ""
        self._settings = settings
        self._workers = Workers(store)
        self._hub = Hub(self._workers)
        self._metrics = ControlMetrics(
            __version__,
            watchers=lambda: self._hub.watchers,
            revision=lambda: self._hub.state.revision,
            dropped_totals=lambda: self._hub.dropped_totals,
        )
        self._health = Health()
        self._clock = clock
        self._http: HttpServer | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._server = grpc.aio.server(
            options=_options(settings), maximum_concurrent_rpcs=settings.concurrent_calls_max
        )

    async def start(self) -> None:
        """Listen and serve. Raises `AddressRefused` where an address cannot be had."""
        try:
            await self._start()
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        control = ControlServicer(self._workers, self._hub, self._clock)
        sync = SyncServicer(self._workers, self._hub, self._metrics, self._clock)
        services = [
            register(self._server, control_pb2_grpc.add_ControlServiceServicer_to_server, control),
            register(self._server, sync_pb2_grpc.add_SyncServiceServicer_to_server, sync),
        ]
        grpc_health = GrpcHealth(self._health, services)
        health_pb2_grpc.add_HealthServicer_to_server(grpc_health.servicer, self._server)
        names = (*services, "grpc.health.v1.Health", reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        self._listen()
        await grpc_health.publish()
        await self._hub.refresh()
        await self._server.start()
        self._run(keep_beating(self._health))
        self._run(grpc_health.run())
        self._run(self._hub.poll())
        self._run(self._hub.spread_totals())
        self._run(self._sweep())
        self._run(RolloverTask(self._workers, self._hub, self._metrics, self._clock).run())
        self._health.start()

    def _listen(self) -> None:
        host, port = _split(self._settings.listen)
        try:
            port = self._server.add_insecure_port(_join(host, port))
        except RuntimeError as error:
            message = (
                f"cannot listen on {self._settings.listen}: it is in use or not of this machine"
            )
            raise AddressRefused(message) from error
        self.grpc_address = _join(host, port)
        if not self._settings.http_listen:
            return
        host, port = _split(self._settings.http_listen)
        routes = probe_routes(self._health, self._metrics.registry)
        try:
            self._http = HttpServer(host, port, routes)
        except OSError as error:
            address = self._settings.http_listen
            raise AddressRefused(f"cannot listen on {address}: {error.strerror}") from error
        self.http_address = _join(host, self._http.port)

    async def stop(self) -> None:
        """Stop taking calls, end watches, let calls finish, then stop for good."""
        self._health.drain()
        self._hub.close()
        await self._server.stop(self._settings.drain_seconds_max)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.to_thread(self._workers.close)
        if self._http is not None:
            await asyncio.to_thread(self._http.close)

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._note_failure)
        self._tasks.append(task)

    def _note_failure(self, task: asyncio.Task[None]) -> None:
        """A background task never ends by itself: if it does, calls should go elsewhere."""
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("control.task_failed", exc_info=error)
            self._health.hold("background", "a background task failed; see the log")

    async def _sweep(self) -> None:
        """Forget old idempotency keys, in steps so small that no call notices."""
        while True:
            try:
                more = await self._workers.write(sweep, self._clock())
            except TallydError as error:
                _log.warning("control.sweep_failed", error=str(error))
                more = False
            await asyncio.sleep(SWEEP_PAUSE_S if more else SWEEP_S)


async def serve(settings: Settings) -> None:
    """Run a control plane until SIGTERM or SIGINT.

    Writes the log event "control.ready" with the addresses that are listened on. Raises
    `StoreRefused` and `AddressRefused` where it cannot start.
    """
    store = await asyncio.to_thread(SqliteStore, settings.database_path)
    with contextlib.closing(store):
        plane = ControlPlane(settings, store)
        stopping = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stopping.set)
        await plane.start()
        _log.info(
            "control.ready",
            grpc=plane.grpc_address,
            http=plane.http_address,
            database=settings.database_path,
            version=__version__,
        )
        await stopping.wait()
        _log.info("control.stopping")
        await plane.stop()
    _log.info("control.stopped")


def run(settings: Settings) -> int:
    """Run a control plane as a process of its own; returns its exit status."""
    configure_logging(settings.log_level, settings.log_format)
    try:
        uvloop.run(serve(settings))
    except (StoreRefused, AddressRefused) as error:
        _log.error("control.cannot_run", error=str(error))
        sys.stderr.write(f"tallyd control: {error}\n")
        return CANNOT_RUN
    return 0


def _options(settings: Settings) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", settings.message_bytes_max),
        ("grpc.max_send_message_length", settings.message_bytes_max),
        # Two processes on one port would share calls between two databases, unnoticed.
        ("grpc.so_reuseport", 0),
        # Sidecars ping every 20 s, also on a connection without calls.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
        ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
        ("grpc.keepalive_time_ms", 30_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
    ]


def _split(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _join(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
