"""The sidecar daemon: starts the parts, serves, and stops in order."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Coroutine
from typing import Any, Final

import grpc
import structlog
import uvloop
from grpc_health.v1 import health as grpc_health
from grpc_health.v1.health_pb2_grpc import add_HealthServicer_to_server
from grpc_reflection.v1alpha import reflection

from sidecar import __version__
from sidecar.app.clock import wall_us
from sidecar.app.listen import CannotListen, listen_tcp, listen_unix
from sidecar.app.operations import SidecarOperations
from sidecar.app.parts import Ground, Parts
from sidecar.config import SidecarConfig, split_host_port
from sidecar.ops.grpc_health import GrpcHealth
from sidecar.ops.health import Health, keep_beating
from sidecar.ops.http import HttpServer, probe_routes
from sidecar.ops.logs import configure_logging
from sidecar.rpc.admin import ADMIN_SERVICE, AdminMethods, admin_handler
from sidecar.rpc.server import ENFORCEMENT_SERVICE, enforcement_handler, server_options
from sidecar.storage.codec import StoreFormatError
from sidecar.storage.lmdb_engine import StoreInUse

CANNOT_RUN: Final = 4
_CALLS_SECONDS: Final = 5.0
_SIGNALLED: Final = 128
"""What shells add to a signal's number for an exit status."""

log = structlog.get_logger(__name__)


class CannotRun(Exception):
    """The daemon cannot start, or cannot go on; the text is for people."""


def run(config: SidecarConfig) -> int:
    """Run until SIGTERM or SIGINT; the process's exit status."""
    configure_logging(config.log_level, config.log_format)
    try:
        uvloop.run(Daemon(config).serve())
    except (CannotRun, CannotListen, StoreInUse, StoreFormatError, OSError) as error:
        log.error("sidecar.cannot_run", error=str(error))
        sys.stderr.write(f"tallyd sidecar: {error}\n")
        return CANNOT_RUN
    return 0


class Daemon:
    """One sidecar. `serve` runs it from start to end."""

    def __init__(self, config: SidecarConfig) -> None:
        self._config = config
        self._health = Health()
        self._started_us = wall_us()
        self._background: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._told_to_stop = False
        self._failed = False

    async def serve(self) -> None:
        """Start, serve until told to stop, and stop in order."""
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._signalled, number)
        parts = Parts(self._config, await asyncio.to_thread(Ground, self._config))
        try:
            self._load_catalog(parts)
            await self._serve_parts(parts)
        finally:
            await self._end_background()
            await parts.close()
        log.info("sidecar.stopped")
        if self._failed:
            raise CannotRun("a background task failed; see the log")

    def _signalled(self, number: int) -> None:
        """Stop in order; the second signal ends the process at once."""
        if self._told_to_stop:
            # Whatever was answered is with the operating system, or on disk.
            os._exit(_SIGNALLED + number)
        self._told_to_stop = True
        self._stop.set()

    async def _serve_parts(self, parts: Parts) -> None:
        operations = SidecarOperations(parts, self._health, self._started_us)
        grpc_health_mirror = GrpcHealth(self._health, [ENFORCEMENT_SERVICE])
        await grpc_health_mirror.publish()
        server = self._grpc_server(parts, operations, grpc_health_mirror)
        if self._config.socket_path:
            listen_unix(server, self._config.socket_path)
        port = listen_tcp(server, self._config.listen) if self._config.listen else None
        http = self._http_server(parts)
        try:
            await server.start()
            self._run_background(parts, grpc_health_mirror)
            log.info(
                "sidecar.listening",
                version=__version__,
                incarnation=parts.store.lineage.incarnation,
                socket=self._config.socket_path or None,
                port=port,
                http_port=http.port if http else None,
                durability=self._config.durability,
                standalone=parts.standing.authority,
            )
            await self._until_stopped(parts)
            await self._shut_down(parts, server, operations)
        finally:
            await server.stop(0)
            if http is not None:
                http.close()

    async def _until_stopped(self, parts: Parts) -> None:
        """Ready once a check can be answered: once there is a catalog."""
        known = asyncio.create_task(parts.catalog_known.wait())
        stopped = asyncio.create_task(self._stop.wait())
        await asyncio.wait((known, stopped), return_when=asyncio.FIRST_COMPLETED)
        known.cancel()
        if not self._stop.is_set():
            self._health.start()
            log.info("sidecar.ready")
        await stopped

    async def _shut_down(
        self, parts: Parts, server: grpc.aio.Server, operations: SidecarOperations
    ) -> None:
        """Readiness off, calls finished, outbox flushed; all of it bounded in time."""
        seconds = self._config.drain_seconds_max
        log.info("sidecar.draining", outbox_records=operations.waiting_records())
        self._health.drain()
        parts.watchlist.close()
        await server.stop(min(_CALLS_SECONDS, seconds))
        complete = await operations.drain(seconds)
        log.info("sidecar.drained", complete=complete, left=operations.waiting_records())

    def _load_catalog(self, parts: Parts) -> None:
        if not self._config.standalone:
            return
        try:
            from sidecar.app.standalone import load_standalone
        except ModuleNotFoundError as error:
            raise CannotRun(
                f"--standalone needs the packages of the extra 'control': {error}"
            ) from error
        try:
            companies = load_standalone(
                self._config.standalone, parts.snapshots, parts.directory, parts.clock.now_us()
            )
        except ValueError as error:
            raise CannotRun(str(error)) from error
        parts.catalog_known.set()
        log.info("sidecar.catalog_loaded", file=self._config.standalone, companies=companies)

    def _grpc_server(
        self, parts: Parts, operations: SidecarOperations, health: GrpcHealth
    ) -> grpc.aio.Server:
        server = grpc.aio.server(
            options=server_options(self._config.message_bytes_max),
            # Watches have a bound of their own, and leave calls theirs.
            maximum_concurrent_rpcs=self._config.concurrent_calls_max + self._config.watches_max,
        )
        handlers = (
            enforcement_handler(parts.methods, parts.query_methods, parts.watch_methods),
            admin_handler(AdminMethods(operations)),
        )
        server.add_generic_rpc_handlers(handlers)
        add_HealthServicer_to_server(health.servicer, server)
        names = (ENFORCEMENT_SERVICE, ADMIN_SERVICE, grpc_health.SERVICE_NAME)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server)
        return server

    def _http_server(self, parts: Parts) -> HttpServer | None:
        if not self._config.http_listen:
            return None
        host, port = split_host_port(self._config.http_listen)
        try:
            return HttpServer(host, port, probe_routes(self._health, parts.metrics.registry))
        except OSError as error:
            raise CannotListen(f"cannot listen on {self._config.http_listen}: {error}") from error

    def _run_background(self, parts: Parts, health: GrpcHealth) -> None:
        self._start(keep_beating(self._health))
        self._start(health.run())
        self._start(parts.upkeep.sweep())
        self._start(parts.upkeep.watch_vitals())
        self._start(parts.upkeep.watch_room())
        if parts.pusher is not None:
            self._start(parts.upkeep.remember_contact(lambda: parts.standing.heard_us))
            self._start(parts.pusher.run())
        else:
            self._start(parts.upkeep.settle())
        if parts.watcher is not None:
            self._start(parts.watcher.run())

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        task.add_done_callback(self._ended)
        self._background.append(task)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A background task never ends by itself: if one does, the daemon must not limp on."""
        if not task.cancelled():
            log.error("sidecar.background_failed", exc_info=task.exception())
            self._failed = True
            self._stop.set()

    async def _end_background(self) -> None:
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
