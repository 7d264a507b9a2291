"""What a sidecar has with its control plane, put together: usage up, snapshots and leases down."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from sidecar import __version__
from sidecar.app.clock import PlaneClock
from sidecar.app.lease_wiring import wire_leasing
from sidecar.app.rate_wiring import wire_rate_sharing
from sidecar.directory.directory import Directory
from sidecar.domain.limits.counters import CounterName
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.runner import Runner
from sidecar.shared.config import SidecarConfig
from sidecar.shared.wall_clock import ticks_us
from sidecar.storage.counters import Counters
from sidecar.storage.outbox import Outbox
from sidecar.storage.seats import Seats
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store_handle import StoreHandle, new_incarnation
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.connection import follow_connection
from sidecar.sync.counter_fetch import CounterFetch
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.exchanges import Exchanges
from sidecar.sync.lease_figures import LeaseFigures
from sidecar.sync.leasing import Leasing
from sidecar.sync.machine.push import PushMachine
from sidecar.sync.plane import PlaneClient, PlaneGreeting
from sidecar.sync.plane_watcher import PlaneWatcher
from sidecar.sync.pusher import Pusher
from sidecar.sync.seat_calls import SeatCalls
from sidecar.sync.seating import Seating
from sidecar.watch.watchlist import Watchlist


class PlaneLink:
    """Synchronisation of one sidecar. Made on the running event loop.

    `left_out` is told how many totals cannot be kept; `catalog_known` is set once there is one.
    """

    def __init__(
        self,
        config: SidecarConfig,
        opened: StoreHandle,
        runner: Runner,
        snapshots: Snapshots,
        directory: Directory,
        counters: Counters,
        outbox: Outbox,
        watchlist: Watchlist,
        plane_status: PlaneStatus,
        clock: PlaneClock,
        figures: LeaseFigures,
        seats: Seats,
        *,
        catalog_known: asyncio.Event,
        left_out: Callable[[int], None],
    ) -> None:
        self._config = config
        self._opened = opened
        self._store = opened.store
        self._runner = runner
        self._snapshots = snapshots
        self._directory = directory
        self._outbox = outbox
        self._watchlist = watchlist
        self._plane_status = plane_status
        self._clock = clock
        self._seats = seats
        self._figures = figures
        self._catalog_known = catalog_known
        self._left_out = left_out
        self._exchanges = self._new_exchanges()
        self._client = self._new_client()
        self.keeper = self._new_keeper()
        self._hearing = TotalsApplier(counters, runner, watchlist, self.keeper.coverage)
        self.watcher = self._new_watcher()
        self.pusher = self._new_pusher()
        self.leasing = self._new_leasing()
        self.rates = wire_rate_sharing(
            config, self._store, runner, plane_status, self._exchanges, clock.now_us
        )
        self.seating = self._new_seating()
        seconds = config.fetch_timeout_ms / 1000
        self.counter_fetch = CounterFetch(self._store, self._client, self._hearing, seconds)

    async def close(self) -> None:
        """Let go of the connection."""
        await self._exchanges.close()

    async def follow_connection(self) -> None:
        """Wake whoever waits to try again once the plane can be reached, for ever."""
        await follow_connection(self._exchanges.channel, self._connected)

    def _new_exchanges(self) -> Exchanges:
        return Exchanges(
            self._config.control,
            ticks=ticks_us,
            exchanged=self._clock.exchanged,
            heard=self._heard,
        )

    def _new_client(self) -> PlaneClient:
        return PlaneClient(
            self._exchanges,
            node=self._config.node,
            version=__version__,
            greeted=self._greeted,
            recalled=self._recalled,
            left_out=self._left_out,
            lost_stores=self._opened.losses,
        )

    def _new_watcher(self) -> PlaneWatcher:
        return PlaneWatcher(
            self._store,
            self._snapshots,
            self._directory,
            self._runner,
            self._client,
            self._hearing,
            self.keeper,
            everyone=self._config.snapshots == "all",
            now=self._clock.now_us,
            fetch_seconds=self._config.fetch_timeout_ms / 1000,
            catalog_known=self._catalog_known,
            lost_contact=self._lost_contact,
            watchlist=self._watchlist,
        )

    def _new_pusher(self) -> Pusher:
        machine = PushMachine(
            linger_us=self._config.push_linger_ms * 1000,
            records_max=self._config.push_records_max,
            uniform=random.random,
        )
        return Pusher(
            self._store,
            self._outbox,
            self._hearing,
            self.keeper,
            self._runner,
            self._client,
            machine,
            records_max=self._config.push_records_max,
            new_incarnation=new_incarnation,
            leaving=self._leaving,
            contact=self._contact,
            caught_up=self._caught_up,
        )

    def _new_leasing(self) -> Leasing:
        return wire_leasing(
            self._config,
            self._store,
            self._runner,
            self._directory,
            self._plane_status,
            self._exchanges,
            self._figures,
            now=self._clock.now_us,
            hurry=self.pusher.flush,
            greet=self.pusher.plane_was_away,
        )

    def _new_seating(self) -> Seating:
        return Seating(
            self._store,
            self._seats,
            self._runner,
            self._directory,
            SeatCalls(self._exchanges),
            self._hearing,
            self._plane_status,
            everyone=self._config.snapshots == "all",
            fetch_seconds=self._config.fetch_timeout_ms / 1000,
        )

    def _new_keeper(self) -> CoverageKeeper:
        return CoverageKeeper(
            self._store,
            self._runner,
            self._plane_status,
            self._clock.now_us,
            held_nobody=not self._snapshots.company_ids("", 1),
        )

    def _leaving(self) -> AbstractAsyncContextManager[None]:
        return self.leasing.leaving()

    def _heard(self) -> None:
        self._plane_status.heard(self._clock.now_us())

    def _greeted(self, greeting: PlaneGreeting) -> None:
        self.leasing.greeted(greeting)

    def _recalled(self, counters: Sequence[CounterName]) -> None:
        self.leasing.recalled(counters)

    def _contact(self, connected: bool) -> None:
        self._plane_status.connected = connected
        self.leasing.contact(connected=connected)

    def _lost_contact(self) -> None:
        self._contact(False)
        self.pusher.plane_was_away()

    def _connected(self) -> None:
        self.pusher.connected()
        self.watcher.retry_wait.connected()
        self.leasing.connected()
        self.rates.connected()
        self.seating.connected()

    def _caught_up(self) -> None:
        self.watcher.refresh_totals_soon()
