"""The control plane as a process: builds it, runs it, and stops it in order."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Final
from uuid import uuid4

import structlog

from sidecar import __version__
from sidecar.control.database_metrics import database_instruments
from sidecar.control.errors import StoreRefused
from sidecar.control.metrics import ControlMetrics
from sidecar.control.rate_share_metrics import rate_share_instruments
from sidecar.control.rpc.control import ControlServicer
from sidecar.control.rpc.credits import CreditServicer
from sidecar.control.rpc.database_watch import DatabaseWatch
from sidecar.control.rpc.debt_task import DebtTask
from sidecar.control.rpc.filling_task import FillingTask
from sidecar.control.rpc.hosted import hosted_services
from sidecar.control.rpc.lease_task import LeaseTask
from sidecar.control.rpc.plan_task import PlanTask
from sidecar.control.rpc.rollover_task import RolloverTask
from sidecar.control.rpc.seat_serving import SeatServing
from sidecar.control.rpc.status import status_of_error
from sidecar.control.rpc.sync import SyncServicer
from sidecar.control.rpc.unused_credits_task import UnusedCreditsTask
from sidecar.control.rpc.watch_hub import Hub
from sidecar.control.rpc.workers import Workers
from sidecar.control.services.lease_recovery import open_leases
from sidecar.control.services.losses import count_losses
from sidecar.control.services.rate_shares import RateShares, sharers_lately
from sidecar.control.services.stored_catalog import lowering, uncounted
from sidecar.control.services.sweep import keep_time, last_known_time, sweep
from sidecar.control.settings import Settings, channel_options
from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.sqlite.verification import damaged
from sidecar.control.storage.sqlite.witness import SqliteWitness, witness_path
from sidecar.control.storage.values import LossCount
from sidecar.control.storage.witness_port import LeaseWitness, MemoryWitness
from sidecar.control.sure_clock import SureClock
from sidecar.domain.errors import DataLoss, TallydError, Unavailable
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.validation import field_path_text
from sidecar.shared.host.addresses import join_host_port, split_host_port
from sidecar.shared.host.foothold import GroundLost, ground_lost
from sidecar.shared.host.grpcio import GrpcioServer
from sidecar.shared.host.lifecycle import BackgroundTasks, StopSignal, concerning, run_daemon
from sidecar.shared.host.listening import http_server
from sidecar.shared.host.server import with_standard_services
from sidecar.shared.ops.health import Health, keep_beating
from sidecar.shared.ops.http import HttpServer, probe_routes
from sidecar.shared.ops.trouble import Trouble
from sidecar.shared.wall_clock import ticks_us, wall_us

SWEEP_S: Final = 60.0
SWEEP_PAUSE_S: Final = 0.05
LOSSES_S: Final = 5.0

_log = structlog.get_logger(__name__)


class ControlPlane:
    """A control plane on a store: `start` it, and `stop` it once. The store stays the caller's.

    `clock` and `ticks` give the machine's clock and its counter, in microseconds. `gone`: told once
    the store is no longer where it was; nothing is answered from then on. `witness`: of its leases,
    the caller's, too; without it, one in memory, which a store in memory has.
    """

    def __init__(
        self,
        settings: Settings,
        store: PlaneStore,
        clock: Callable[[], int] = wall_us,
        ticks: Callable[[], int] = ticks_us,
        gone: Callable[[], None] = lambda: None,
        witness: LeaseWitness | None = None,
    ) -> None:
        self.grpc_address = self.http_address = ""
        self._settings = settings
        self._store = store
        self._gone = gone
        self._release_us = settings.lease_release_seconds * SECOND_US
        self._witness = MemoryWitness() if witness is None else witness
        self._losses = LossCount()
        self._workers = Workers(store)
        self._hub = Hub(self._workers)
        self._clock = clock
        self._sure_clock = SureClock(clock, ticks)
        self._rate_shares = RateShares(str(uuid4()), self._sure_clock.elapsed_us())
        self._seats = SeatServing(
            self._workers, self._hub, self._witness, clock, self._sure_clock.now_us
        )
        self._health = Health()
        self._database_watch = DatabaseWatch(
            self._workers,
            Trouble("database", self._health),
            self._sure_clock.known,
            Path(settings.database_path),
            self._witness,
        )
        self._metrics = ControlMetrics(
            __version__,
            clock,
            watchers=lambda: self._hub.watchers,
            revision=lambda: self._hub.state.revision,
            dropped_totals=lambda: self._hub.dropped_totals,
            clock_held=self._sure_clock.held_seconds,
            losses=lambda: self._losses,
            more=[
                *database_instruments(self._database_watch),
                *rate_share_instruments(self._rate_shares),
                *self._seats.instruments(),
            ],
        )
        self._http: HttpServer | None = None
        self._background = BackgroundTasks(self._note_failure)
        control = ControlServicer(self._workers, self._hub, self._metrics, self._clock, self._seats)
        credit = CreditServicer(self._workers, self._hub, self._metrics, self._clock)
        sync = SyncServicer(
            self._workers,
            self._hub,
            self._metrics,
            self._clock,
            self._sure_clock.elapsed_us,
            self._witness,
            self._rate_shares,
            self._seats,
        )
        self._server = GrpcioServer(
            with_standard_services(hosted_services(control, credit, sync), self._health),
            rich=status_of_error,
            options=channel_options(settings),
            concurrent_calls_max=settings.concurrent_calls_max,
            call_counts=self._metrics.calls.row,
        )

    async def start(self) -> None:
        """Listen and serve.

        Raises `CannotListen` where an address cannot be had, and `StoreRefused` where what is read
        at a start is damaged.
        """
        try:
            await self._start()
        except DataLoss as error:
            await self.stop()
            raise damaged(self._settings.database_path, error.message) from error
        except BaseException:
            await self.stop()
            raise

    async def _start(self) -> None:
        self._listen()
        await self._open_leases()
        await self._hub.refresh()
        for path, problem in await self._workers.read(uncounted):
            _log.warning("control.limits_not_counted", field=field_path_text(path), problem=problem)
        for path, problem in await self._workers.read(lowering):
            _log.warning("control.add_on_lowers", field=field_path_text(path), problem=problem)
        self._sure_clock.go_on_from(await self._workers.read(last_known_time))
        self._rate_shares.expect(await self._workers.read(sharers_lately))
        await self._server.start()
        start = self._background.start
        start(keep_beating(self._health))
        start(self._watch_ground())
        start(self._database_watch.run())
        start(self._hub.poll())
        start(self._hub.spread_totals())
        start(self._sweep())
        start(self._count_losses())
        for task in (RolloverTask, FillingTask, UnusedCreditsTask):
            start(task(self._workers, self._hub, self._metrics, self._sure_clock.now_us).run())
        start(PlanTask(self._workers, self._hub, self._clock).run())
        start(DebtTask(self._workers, self._hub, self._metrics, self._clock).run())
        start(self._lease_task().run())
        start(self._seats.keep_up())
        self._health.start()

    def _lease_task(self) -> LeaseTask:
        return LeaseTask(
            self._workers,
            self._hub,
            self._metrics,
            self._sure_clock.now_us,
            self._witness,
            self._release_us,
        )

    async def _open_leases(self) -> None:
        """See whether the database is an older state, before anything is granted from it."""
        is_older = await self._workers.write(
            open_leases, self._witness, self._clock(), self._release_us
        )
        if is_older:
            _log.error("control.state_lost", database=str(self._settings.database_path))

    def _listen(self) -> None:
        host, _ = split_host_port(self._settings.listen)
        with concerning("listen"):
            port = self._server.listen_tcp(self._settings.listen)
        self.grpc_address = join_host_port(host, port)
        if self._settings.http_listen:
            host, _ = split_host_port(self._settings.http_listen)
            routes = probe_routes(self._health, self._metrics.registry)
            with concerning("http_listen"):
                self._http = http_server(self._settings.http_listen, routes)
            self.http_address = join_host_port(host, self._http.port)

    async def stop(self) -> None:
        """Stop taking calls, end watches, let calls finish, then stop for good."""
        self._health.drain()
        self._hub.close()
        await self._server.stop(self._settings.drain_seconds_max)
        await self._background.end()
        await asyncio.to_thread(self._workers.close)
        if self._http is not None:
            await asyncio.to_thread(self._http.close)

    async def _watch_ground(self) -> None:
        """Answer nothing more once the database is no longer where it was."""
        lost = await ground_lost(self._store.lost)
        self._health.fail(lost)
        _log.error("control.store_gone", what=lost)
        await self._server.stop(0)
        self._gone()
        await asyncio.Event().wait()

    def _note_failure(self) -> None:
        """A background task has failed: calls should go elsewhere."""
        self._health.hold("background", "a background task failed; see the log")

    async def _count_losses(self) -> None:
        """Keep the figure of losses for the metrics, and tell of each that is new."""
        while True:
            with contextlib.suppress(TallydError):
                known, self._losses = self._losses, await self._workers.read(count_losses)
                facts = {"losses": self._losses.losses, "records": self._losses.records}
                if self._losses.losses > known.losses or self._losses.records > known.records:
                    _log.error("control.usage_lost", **facts)
                elif known.losses and not self._losses.losses:
                    _log.info("control.losses_acknowledged")
            await asyncio.sleep(LOSSES_S)

    async def _sweep(self) -> None:
        """Forget old idempotency keys, in steps so small that no call notices; keep the time."""
        while True:
            try:
                more = await self._workers.write(sweep, self._sure_clock.elapsed_us())
                if not more:
                    await self._workers.write(keep_time, self._sure_clock.known())
            except Unavailable:
                more = False  # told as a trouble of the database
            except TallydError as error:
                _log.warning("control.sweep_failed", error=str(error))
                more = False
            await asyncio.sleep(SWEEP_PAUSE_S if more else SWEEP_S)


async def serve(settings: Settings) -> None:
    """Run a control plane until SIGTERM or SIGINT.

    Writes the log event "control.ready" with the addresses that are listened on. Raises
    `StoreRefused` and `CannotListen` where it cannot start.
    """
    with concerning("database_path"):
        store = await asyncio.to_thread(
            SqliteStore,
            settings.database_path,
            begin_anew=settings.database_missing == "begin_anew",
        )
    with contextlib.ExitStack() as stack:
        stack.callback(store.close)
        with concerning("database_path"):
            witness = await asyncio.to_thread(
                SqliteWitness, witness_path(Path(settings.database_path))
            )
        stack.callback(witness.close)
        stop = StopSignal()
        plane = ControlPlane(settings, store, gone=stop.set, witness=witness)
        await plane.start()
        _log.info(
            "control.ready",
            grpc=plane.grpc_address,
            http=plane.http_address,
            database=settings.database_path,
            version=__version__,
        )
        await stop.wait()
        _log.info("control.stopping")
        await plane.stop()
        if lost := store.lost():
            raise GroundLost(f"{lost}: the database was in use. {await _rescue(store)}")
    _log.info("control.stopped")


async def _rescue(store: SqliteStore) -> str:
    """Save what is still open of a database that is lost; what to do then."""
    rescued = await asyncio.to_thread(store.rescue)
    if rescued is None:
        return "It could not be written anywhere else: restore a backup"
    _log.warning("control.database_rescued", file=str(rescued))
    return f"All that it had is in {rescued}: move that to where it was, and start again"


def run(settings: Settings) -> int:
    """Run a control plane as a process of its own; returns its exit status."""
    return run_daemon(
        "control",
        lambda: serve(settings),
        (StoreRefused,),
        log_level=settings.log_level,
        log_format=settings.log_format,
    )
