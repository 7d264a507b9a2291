"""The sidecar daemon: starts the parts, serves, and stops in order."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

import structlog

from sidecar import __version__
from sidecar.app.container import Container, LoadedStore
from sidecar.app.operations import SidecarOperations
from sidecar.app.serving import grpc_server
from sidecar.domain.errors import FieldError
from sidecar.shared.config import SetAside, SidecarConfig
from sidecar.shared.host.foothold import GroundLost, ground_lost, keep_sockets
from sidecar.shared.host.lifecycle import BackgroundTasks, StopSignal, concerning, run_daemon
from sidecar.shared.host.listening import http_server
from sidecar.shared.host.server import GrpcServer
from sidecar.shared.ops.health import Health, keep_beating
from sidecar.shared.ops.http import HttpServer, probe_routes
from sidecar.shared.wall_clock import wall_us
from sidecar.storage.codec import StoreFormatError
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.folder_marks import StoreUnsafe
from sidecar.storage.lmdb_engine import StoreInUse
from sidecar.storage.store import Store

_CALLS_SECONDS: Final = 5.0

log = structlog.get_logger(__name__)


class CannotRun(Exception):
    """The daemon cannot start, or cannot go on; the text is for people."""


def run(config: SidecarConfig, set_aside: Sequence[SetAside] = ()) -> int:
    """Run until SIGTERM or SIGINT; the process's exit status.

    `set_aside`: settings that gave way to others, for the log.
    """
    return run_daemon(
        "sidecar",
        Daemon(config, set_aside).serve,
        (CannotRun, StoreInUse, StoreFormatError, StoreUnsafe, StoreDamaged, OSError),
        log_level=config.log_level,
        log_format=config.log_format,
    )


class Daemon:
    """One sidecar. `serve` runs it from start to end."""

    def __init__(self, config: SidecarConfig, set_aside: Sequence[SetAside] = ()) -> None:
        self._config = config
        self._set_aside = set_aside
        self._health = Health()
        self._started_us = wall_us()
        self._failed = False
        self._ground_lost = ""

    async def serve(self) -> None:
        """Start, serve until told to stop, and stop in order."""
        stop = StopSignal()
        for given in self._set_aside:
            log.warning(
                "config.set_aside",
                setting=given.field,
                source=given.source.name,
                by=given.by.name,
            )

        def failed() -> None:
            self._failed = True
            stop.set()

        background = BackgroundTasks(failed)
        with concerning("store_path"):
            loaded = await asyncio.to_thread(LoadedStore, self._config)
        with loaded.opened.watched():
            container = Container(self._config, loaded, self._health)
        self._end_with(container.store, stop)
        try:
            self._load_catalog(container)
            await self._serve_container(container, background, stop)
        finally:
            await background.end()
            await container.close()
        if self._ground_lost:
            raise GroundLost(
                f"{self._ground_lost}, and was in use; started again, the sidecar goes on with "
                "what is there"
            )
        log.info("sidecar.stopped")
        if (ended_by := container.store.ended_by) is not None:
            looks = isinstance(ended_by, StoreDamaged)
            then = "looks through the whole store" if looks else "goes on where it was"
            raise CannotRun(f"{ended_by}; started again, it {then}")
        if self._failed:
            raise CannotRun("a background task failed; see the log")

    def _end_with(self, store: Store, stop: StopSignal) -> None:
        """Stop once the store takes no further step: nothing can be answered any more."""
        loop = asyncio.get_running_loop()

        def ended(error: FieldError) -> None:
            self._health.drain(str(error))
            loop.call_soon_threadsafe(stop.set)

        store.when_ended(ended)

    async def _serve_container(
        self, container: Container, background: BackgroundTasks, stop: StopSignal
    ) -> None:
        config = self._config
        operations = SidecarOperations(container, self._health, self._started_us)
        server = grpc_server(container, operations, self._health)
        http: HttpServer | None = None
        try:
            port = self._listen(server)
            if config.http_listen:
                routes = probe_routes(self._health, container.metrics.registry)
                with concerning("http_listen"):
                    http = http_server(config.http_listen, routes)
            await server.start()
            self._run_background(container, background)
            background.start(keep_sockets(server, self._health))
            background.start(self._watch_ground(container, server, stop))
            log.info(
                "sidecar.listening",
                version=__version__,
                incarnation=container.store.incarnation.id,
                socket=config.socket_path or None,
                port=port,
                http_port=http.port if http else None,
                durability=config.durability,
                transport=config.transport,
                standalone=container.plane_status.authority,
            )
            await self._until_stopped(container, stop)
            await self._shut_down(container, server, operations)
        finally:
            await server.stop(0)
            if http is not None:
                http.close()

    def _listen(self, server: GrpcServer) -> int | None:
        """The port, if there is one."""
        config = self._config
        if config.socket_path:
            with concerning("socket_path"):
                server.listen_unix(config.socket_path)
        with concerning("listen"):
            return server.listen_tcp(config.listen) if config.listen else None

    async def _until_stopped(self, container: Container, stop: StopSignal) -> None:
        """Ready once a check can be answered: once there is a catalog."""
        known = asyncio.create_task(container.catalog_known.wait())
        stopped = asyncio.create_task(stop.wait())
        await asyncio.wait((known, stopped), return_when=asyncio.FIRST_COMPLETED)
        known.cancel()
        if not stop.is_set():
            self._health.start()
            log.info("sidecar.ready")
        await stopped

    async def _watch_ground(
        self, container: Container, server: GrpcServer, stop: StopSignal
    ) -> None:
        """Answer nothing more once the store is no longer where it was, and end the process.

        What was answered until then is still open here: the control plane gets it on the way out.
        """
        self._ground_lost = await ground_lost(container.opened.lost)
        # The loop does not turn until all calls are cut, so none is answered after the look.
        self._health.fail(self._ground_lost)
        log.error("store.gone", what=self._ground_lost, waiting=container.store.waiting_records())
        await server.stop(0)
        stop.set()
        await asyncio.Event().wait()

    async def _shut_down(
        self, container: Container, server: GrpcServer, operations: SidecarOperations
    ) -> None:
        """Readiness off, calls finished, outbox flushed; all of it bounded in time.

        What the plane does not take stays on disk, and is not waited for.
        """
        seconds = self._config.drain_seconds_max
        log.info("sidecar.draining", outbox_records=operations.waiting_records())
        self._health.drain()
        container.watchlist.close()
        await server.stop(min(_CALLS_SECONDS, seconds))
        if container.store.ended_by is not None:
            return  # nothing can be read to be sent
        # Of a store that is gone, what is not sent now is lost: it is tried to the end.
        flush = operations.flush if self._ground_lost else operations.flush_at_stop
        until = asyncio.get_running_loop().time() + seconds
        complete = await flush(seconds)
        if container.leasing is not None:
            # Behind the flush: the plane then knows what was used of them.
            left_seconds = until - asyncio.get_running_loop().time()
            await container.leasing.give_back_all(max(0.0, left_seconds))
        log.info("sidecar.drained", complete=complete, left=operations.waiting_records())

    def _load_catalog(self, container: Container) -> None:
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
                self._config.standalone,
                container.snapshots,
                container.directory,
                container.clock.now_us(),
            )
        except ValueError as error:
            raise CannotRun(str(error)) from error
        container.catalog_known.set()
        log.info("sidecar.catalog_loaded", file=self._config.standalone, companies=companies)

    def _run_background(self, container: Container, background: BackgroundTasks) -> None:
        background.start(keep_beating(self._health))
        background.start(container.maintenance.sweep())
        background.start(container.maintenance.tend_answers())
        background.start(container.store_watch.run())
        background.start(container.maintenance.watch_vitals())
        background.start(container.maintenance.watch_room())
        background.start(container.maintenance.remember_time(container.clock.known))
        background.start(container.clock.run())
        background.start(container.level_expiry.run())
        if container.link is not None:
            background.start(
                container.maintenance.remember_contact(lambda: container.plane_status.heard_us)
            )
            background.start(container.link.pusher.run())
            background.start(container.link.watcher.run())
            background.start(container.link.leasing.run())
            background.start(container.link.leasing.look())
            background.start(container.link.rates.run())
            for task in container.link.seating.tasks():
                background.start(task)
            background.start(container.link.follow_connection())
        else:
            background.start(container.maintenance.settle())
