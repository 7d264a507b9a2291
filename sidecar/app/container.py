"""The parts of a sidecar, put together: the one place that knows them all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import structlog

from sidecar.app.clock import PlaneClock
from sidecar.app.instrumentation import DecisionObserver, sidecar_metrics
from sidecar.app.lease_wiring import lease_instruments
from sidecar.app.level_expiry import LevelExpiry
from sidecar.app.level_wiring import level_instruments, wire_levels
from sidecar.app.maintenance import Maintenance
from sidecar.app.plane_link import PlaneLink
from sidecar.app.rate_wiring import rate_share_instruments
from sidecar.app.room_metrics import room_instruments
from sidecar.app.seat_metrics import seat_instruments
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
from sidecar.engine.seats import SeatEngine
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.explain import ExplainMethods
from sidecar.rpc.levels import LevelMethods
from sidecar.rpc.seats import SeatMethods
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.rpc.watch import WatchMethods
from sidecar.shared.config import SidecarConfig
from sidecar.shared.ops.health import Health
from sidecar.shared.ops.instruments import Instrument
from sidecar.shared.ops.trouble import Trouble
from sidecar.shared.wall_clock import wall_us
from sidecar.storage.answers import Answers
from sidecar.storage.contact import read_contact, read_time
from sidecar.storage.counters import Counters
from sidecar.storage.outbox import Outbox
from sidecar.storage.seats import Seats
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store_handle import StoreHandle, open_folder
from sidecar.sync.lease_figures import LeaseFigures
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
        self.seats = Seats(self.store)
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
        self.lease_figures = LeaseFigures()
        self.metrics = sidecar_metrics(
            self.opened,
            self.plane_status,
            self.maintenance,
            self.clock,
            lambda: self.watcher.unreadable_companies if self.watcher is not None else 0,
            self.directory.has_feature,
            self._more_instruments(),
        )
        self.request_dimensions = self._request_dimensions()
        self.catalog_known = asyncio.Event()
        if self.directory.index is not None:
            self.catalog_known.set()
        link = self.link = self._plane_link() if config.control else None
        self.watcher = link.watcher if link else None
        self.pusher = link.pusher if link else None
        self.leasing = link.leasing if link else None
        self.snapshot_fetcher = self._snapshot_fetcher()
        self.observer = DecisionObserver(self.metrics, self.store_watch.failed)
        self.methods = self._methods()
        self.level_methods, self.level_expiry = self._levels()
        self.query_methods = self._query_methods()
        self.watch_methods = self._watch_methods()
        self.seat_methods = self._seat_methods()

    async def close(self) -> None:
        """Let go of everything. The servers must have stopped."""
        if self.link is not None:
            await self.link.close()
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

    def _plane_link(self) -> PlaneLink:
        return PlaneLink(
            self.config,
            self.opened,
            self.runner,
            self.snapshots,
            self.directory,
            self.counters,
            self.outbox,
            self.watchlist,
            self.plane_status,
            self.clock,
            self.lease_figures,
            self.seats,
            catalog_known=self.catalog_known,
            left_out=self._left_out,
        )

    def _snapshot_fetcher(self) -> SnapshotFetcher:
        totals = self.link.counter_fetch if self.link else None
        return SnapshotFetcher(self.directory, self.runner, self.watcher, totals, self.leasing)

    def _more_instruments(self) -> list[Instrument]:
        return [
            *room_instruments(self.store_watch, self.answers, self.config),
            *lease_instruments(self.lease_figures),
            *rate_share_instruments(lambda: self.link.rates if self.link else None),
            *level_instruments(lambda: self.level_expiry.expired),
            *seat_instruments(lambda: self.link.seating if self.link else None),
        ]

    def _left_out(self, totals: int) -> None:
        if not self.metrics.totals_left_out.value:
            log.warning("sync.totals_left_out", totals=totals)
        self.metrics.totals_left_out.add(totals)

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
            self.observer,
            self.clock.now_us,
            watchlist=self.watchlist,
            message_bytes_max=self.config.message_bytes_max,
            dimensions=self.request_dimensions,
        )
        return EnforcementMethods(self.store, checks.deciding, self.runner, self.snapshot_fetcher)

    def _levels(self) -> tuple[LevelMethods, LevelExpiry]:
        methods = wire_levels(
            self.store,
            self.directory,
            self.plane_status,
            self.request_dimensions,
            self.methods,
            self.runner,
            self.snapshot_fetcher,
            self.observer,
            self.clock.now_us,
        )
        touched, failed = self.watchlist.touch, self.store_watch.failed
        levels, now = methods.levels, self.clock.now_us
        return methods, LevelExpiry(levels, self.runner, now, touched, failed)

    def _seat_methods(self) -> SeatMethods:
        engine = SeatEngine(self.store, self.directory, self.plane_status, self.seats)
        return SeatMethods(
            self.store,
            engine,
            self.runner,
            self.snapshot_fetcher,
            self.link.seating if self.link else None,
            self.methods.deciding,
        )

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
