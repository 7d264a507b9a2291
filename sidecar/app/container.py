"""The parts of a sidecar, put together: the one place that knows them all."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import structlog

from sidecar import __version__
from sidecar.app.clock import PlaneClock
from sidecar.app.instrumentation import DecisionObserver, sidecar_metrics
from sidecar.app.maintenance import Maintenance
from sidecar.app.room_metrics import room_instruments
from sidecar.app.store_watch import StoreWatch
from sidecar.app.wiring import wire_checks
from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.time.units import HOUR_US
from sidecar.engine.explain import Explainer
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.query import Queries
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.runner import GroupCommitRunner, InlineRunner, Runner
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.rpc.watch import WatchMethods
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.health import Health
from sidecar.shared.ops.trouble import Trouble
from sidecar.shared.wall_clock import ticks_us, wall_us
from sidecar.storage.answers import Answers
from sidecar.storage.contact import read_contact, read_time
from sidecar.storage.counters import Counters
from sidecar.storage.outbox import Outbox
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store_handle import StoreHandle, new_incarnation, open_folder
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.connection import follow_connection
from sidecar.sync.counter_fetch import CounterFetch
from sidecar.sync.coverage_keeper import CoverageKeeper
from sidecar.sync.machine.push import PushMachine
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_watcher import PlaneWatcher
from sidecar.sync.pusher import Pusher
from sidecar.sync.records import UsageRecordReader
from sidecar.watch.states import StateReader
from sidecar.watch.watchlist import Watchlist

log = structlog.get_logger(__name__)


class LoadedStore:
    """What takes as long as the store is large; made on a thread beside the event loop."""

    def __init__(self, config: SidecarConfig) -> None:
        self.opened: StoreHandle = open_folder(
            Path(config.store_path),
            max_bytes=config.store_bytes_max,
            sync_commits=config.durability == "disk",
            outbox_records_max=config.outbox_records_max,
        )
        self.company_cache: CompanyCache | None = None
        with self.opened.watched():
            self.snapshots = Snapshots(self.opened.store)
            if config.control and config.snapshots == "on_demand":
                self.company_cache = CompanyCache(self.snapshots, config.companies_held_max)


class Container:
    """Store, services and synchronisation of one sidecar. Made on the running event loop."""

    def __init__(
        self, config: SidecarConfig, loaded: LoadedStore, health: Health | None = None
    ) -> None:
        self.config = config
        self.opened = loaded.opened
        self.store = self.opened.store
        known_time = read_time(self.store)
        self.answers = Answers(
            self.store,
            quota_bytes=config.store_bytes_max * config.answers_percent_max // 100,
            kept_us=config.idempotency_hours * HOUR_US,
            goes_on=known_time is not None,
        )
        self.plane_status = PlaneStatus(authority=bool(config.standalone))
        if config.control:
            self.plane_status.heard_us = read_contact(self.store)
        self.clock = PlaneClock(self.plane_status, known_time, wall_us)
        on_disk = config.durability == "disk"
        self.runner: Runner = (GroupCommitRunner if on_disk else InlineRunner)(self.store)
        self.snapshots = loaded.snapshots
        self.counters = Counters(self.store)
        self.outbox = Outbox(self.store, UsageRecordReader())
        self.watchlist = Watchlist(config.watches_max)
        self.directory = self._directory(loaded.company_cache)
        self.store_watch = StoreWatch(
            self.store,
            self.runner,
            Trouble("store", health or Health()),
            folder=config.store_path,
            outbox_records_max=config.outbox_records_max,
        )
        self.maintenance = Maintenance(
            self.store,
            self.outbox,
            self.answers,
            self.plane_status,
            self.store_watch,
            self.runner,
            self.clock.sure_us,
            self.clock.elapsed_us,
        )
        self.metrics = sidecar_metrics(
            self.opened,
            self.plane_status,
            self.maintenance,
            self.clock,
            lambda: self.watcher.unreadable_companies if self.watcher is not None else 0,
            self.directory.has_feature,
            room_instruments(self.store_watch, self.answers, config),
        )
        self.request_dimensions = self._request_dimensions()
        self.catalog_known = asyncio.Event()
        if self.directory.index is not None:
            self.catalog_known.set()
        self.plane = self._plane() if config.control else None
        if self.plane:
            self._keeper = self._coverage_keeper()
            self._hearing = TotalsApplier(
                self.counters, self.runner, self.watchlist, self._keeper.coverage
            )
        self.watcher = self._watcher(self.plane) if self.plane else None
        self.pusher = self._pusher(self.plane) if self.plane else None
        self.snapshot_fetcher = SnapshotFetcher(
            self.directory, self.runner, self.watcher, self._counter_fetch(self.plane)
        )
        self.methods = self._methods()
        self.query_methods = self._query_methods()
        self.watch_methods = self._watch_methods()

    async def close(self) -> None:
        """Let go of everything. The servers must have stopped."""
        if self.plane is not None:
            await self.plane.close()
        await self.maintenance.keep_contact(self.plane_status.heard_us)
        await self.maintenance.keep_time(self.clock.known())
        await self.runner.close()
        await asyncio.to_thread(self.opened.close)

    def _directory(self, company_cache: CompanyCache | None) -> Directory:
        cached_max = self.config.companies_cached_max
        if company_cache is not None:
            cached_max = min(cached_max, self.config.companies_held_max)
        return Directory(
            self.snapshots,
            cached_max,
            company_cache=company_cache,
            authority=self.plane_status.authority,
            watched=self.watchlist,
        )

    def _plane(self) -> PlaneClient:
        return PlaneClient(
            self.config.control,
            node=self.config.node,
            version=__version__,
            ticks=ticks_us,
            exchanged=self.clock.exchanged,
            heard=self._heard,
            left_out=self._left_out,
            lost_stores=self.opened.losses,
        )

    def _heard(self) -> None:
        self.plane_status.heard(self.clock.now_us())

    def _left_out(self, totals: int) -> None:
        if not self.metrics.totals_left_out.value:
            log.warning("sync.totals_left_out", totals=totals)
        self.metrics.totals_left_out.add(totals)

    def _contact(self, connected: bool) -> None:
        self.plane_status.connected = connected

    def _lost_contact(self) -> None:
        self._contact(False)
        if self.pusher is not None:
            self.pusher.plane_was_away()

    async def follow_connection(self) -> None:
        """Wake whoever waits to try again once the plane can be reached, for ever."""
        if self.plane is not None:
            await follow_connection(self.plane.channel, self._connected)

    def _connected(self) -> None:
        if self.pusher is not None:
            self.pusher.connected()
        if self.watcher is not None:
            self.watcher.retry_wait.connected()

    def _caught_up(self) -> None:
        if self.watcher is not None:
            self.watcher.refresh_totals_soon()

    def _watcher(self, plane: PlaneClient) -> PlaneWatcher:
        return PlaneWatcher(
            self.store,
            self.snapshots,
            self.directory,
            self.runner,
            plane,
            self._hearing,
            self._keeper,
            everyone=self.config.snapshots == "all",
            now=self.clock.now_us,
            fetch_seconds=self.config.fetch_timeout_ms / 1000,
            catalog_known=self.catalog_known,
            lost_contact=self._lost_contact,
            watchlist=self.watchlist,
        )

    def _coverage_keeper(self) -> CoverageKeeper:
        return CoverageKeeper(
            self.store,
            self.runner,
            self.plane_status,
            self.clock.now_us,
            held_nobody=not self.snapshots.company_ids("", 1),
        )

    def _counter_fetch(self, plane: PlaneClient | None) -> CounterFetch | None:
        if plane is None:
            return None
        seconds = self.config.fetch_timeout_ms / 1000
        return CounterFetch(self.store, plane, self._hearing, seconds)

    def _pusher(self, plane: PlaneClient) -> Pusher:
        machine = PushMachine(
            linger_us=self.config.push_linger_ms * 1000,
            records_max=self.config.push_records_max,
            uniform=random.random,
        )
        return Pusher(
            self.store,
            self.outbox,
            self._hearing,
            self._keeper,
            self.runner,
            plane,
            machine,
            records_max=self.config.push_records_max,
            new_incarnation=new_incarnation,
            contact=self._contact,
            caught_up=self._caught_up,
        )

    def _request_dimensions(self) -> RequestDimensions:
        return RequestDimensions(
            self.directory,
            let_pass=self.config.dimension_problems == "warn",
            counted=self.metrics.dimension_problems.add,
        )

    def _methods(self) -> EnforcementMethods:
        checks = wire_checks(
            self.store,
            self.directory,
            self.plane_status,
            DecisionObserver(self.metrics, self.store_watch.failed),
            self.clock.now_us,
            watchlist=self.watchlist,
            message_bytes_max=self.config.message_bytes_max,
            dimensions=self.request_dimensions,
        )
        return EnforcementMethods(self.store, checks.deciding, self.runner, self.snapshot_fetcher)

    def _query_methods(self) -> ExplainMethods:
        known = (self.directory, self.plane_status, self.request_dimensions)
        queries = Queries(self.store, self.counters, *known)
        explainer = Explainer(self.store, *known)
        return ExplainMethods(
            explainer, queries, self.runner, self.snapshot_fetcher, self.clock.now_us
        )

    def _watch_methods(self) -> WatchMethods:
        reader = StateReader(self.store, self.directory, self.plane_status)
        return WatchMethods(
            reader,
            self.watchlist,
            self.runner,
            self.snapshot_fetcher,
            self.request_dimensions,
            self.clock.now_us,
        )
