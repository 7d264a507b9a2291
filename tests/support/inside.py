"""The inside of a sidecar: real store, decisions and methods, at a time that the test sets.

There is no network. Its control plane is a stand-in that has companies, lacks them, or is away.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.sync.v1 import sync_pb2
from sidecar.app.instrumentation import DecisionObserver
from sidecar.app.level_wiring import wire_levels
from sidecar.app.wiring import wire_checks
from sidecar.directory.company_cache import CompanyCache
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import Company, CompanyGrant, CompanySnapshot
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.domain.limits.reasons import GrantMode, Reason
from sidecar.domain.limits.requests import NO_ATTRIBUTES
from sidecar.domain.slices import whole
from sidecar.engine.enforce import Replay
from sidecar.engine.explain import Explainer
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.query import CheckResult, Queries
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.runner import InlineRunner
from sidecar.rpc.deciding import MESSAGE_BYTES_MAX, Observer
from sidecar.rpc.enforcement import EnforcementMethods
from sidecar.rpc.queries import QueryMethods
from sidecar.rpc.response_messages import replayed
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.shared.ops.metrics import SidecarMetrics, SidecarReadings
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.watch.watchlist import Watchlist
from tests.support.build import NOW_US, catalog_snapshot, check
from tests.support.leases import StandInLeases
from tests.support.stores import Disk, MemoryDisk, OpenedStore

ABSENT_US: Final = 60_000_000
_REASONS: Final = ("", *(reason.name for reason in Reason))


class StandInPlane:
    """Where companies are fetched from. `asked`: what was asked for, and how long it might take."""

    def __init__(self, sidecar: Inside) -> None:
        self._sidecar = sidecar
        self.companies: dict[str, Company] = {}
        self.away = False
        self.asked: list[tuple[list[str], float | None]] = []

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        self.asked.append((sorted(companies), seconds))
        if self.away:
            return
        sidecar = self._sidecar
        sidecar.plane_status.heard(sidecar.now_us)
        sidecar.plane_status.known_us = sidecar.now_us
        found = [self.companies[name] for name in companies if name in self.companies]
        if found:
            sidecar.apply(None, *found)
        absent = [name for name in companies if name not in self.companies]
        sidecar.directory.remember_absent(absent, sidecar.now_us + ABSENT_US, sidecar.revision)
        await asyncio.sleep(0)  # others go on before whoever asked does


class StandInTotals:
    """Where totals are fetched from. `asked`: those that were asked for; `told`: those it has."""

    def __init__(self, sidecar: Inside) -> None:
        self._sidecar = sidecar
        self.told: dict[CounterName, CounterTotal] = {}
        self.asked: list[set[CounterName]] = []

    async def fetch(self, counters: Sequence[CounterName], seconds: float | None) -> None:
        self.asked.append(set(counters))
        opened = self._sidecar.opened
        told = [self.told[name] for name in counters if name in self.told]
        opened.counters.hear(opened.store.incarnation.id, told)
        await asyncio.sleep(0)  # others go on before whoever asked does


class Inside:
    """A sidecar without its edges.

    `companies_held_max`: `None` for no bound. `observer`: is told instead of the metrics.
    `usual`: whether usual checks may go the shorter way. `let_pass`: whether dimensions that are
    not declared are warned of instead of refused. `leases`: whether the plane grants leases.
    `lives`: see `OpenedStore`.
    """

    def __init__(
        self,
        content: Catalog,
        *companies: Company,
        authority: bool = False,
        disk: Disk | None = None,
        outbox_records_max: int = 1_000_000,
        companies_cached_max: int = 100,
        companies_held_max: int | None = None,
        observer: Observer | None = None,
        usual: bool = True,
        message_bytes_max: int = MESSAGE_BYTES_MAX,
        let_pass: bool = False,
        leases: bool = False,
        lives: str = "life",
    ) -> None:
        self.now_us = NOW_US
        self.revision = 0
        self.opened = OpenedStore(
            disk or MemoryDisk(), outbox_records_max=outbox_records_max, lives=lives
        )
        self.plane_status = PlaneStatus(authority=authority)
        self.plane_status.heard(NOW_US)
        self.plane_status.known_us = NOW_US
        self.plane_status.leases = leases
        self.plane = StandInPlane(self)
        self.totals = StandInTotals(self)
        self.leases = StandInLeases(self.plane_status.lease_book)
        self._cached_max = companies_cached_max
        self._held_max = companies_held_max
        self._observer = observer
        self._usual = usual
        self._message_bytes_max = message_bytes_max
        self._let_pass = let_pass
        self._open()
        self.apply(content, *companies)

    def apply(
        self, content: Catalog | None, *companies: Company, resets_usage: bool = False
    ) -> None:
        """Let the plane replace what is sold, unless `None`, and add or change companies, now."""
        self.revision += 1
        self.directory.apply(
            SnapshotChanges(
                None if content is None else catalog_snapshot(content, self.revision),
                [self._snapshot(company, resets_usage) for company in companies],
            )
        )

    def grant(self, *grants: CompanyGrant, company: str = "acme") -> None:
        """Let the plane say that these are a company's one-off grants, now."""
        held = self.opened.snapshots.company(company)
        assert held is not None
        self.revision += 1
        told = replace(held, version=self.revision, credit_grants=grants)
        self.directory.apply(SnapshotChanges(None, [told]))

    def reopen(self, *, power_lost: bool = False) -> None:
        """Close and open again, as a restart does; what was in memory alone is gone."""
        self.opened.reopen(power_lost=power_lost)
        self._open()

    def decide(
        self,
        quantity: int = 1,
        feature: str = "calls",
        company: str = "acme",
        *,
        mode: GrantMode = GrantMode.ALL_OR_NOTHING,
        key: str = "",
        at_us: int | None = None,
        dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> pb.CheckAndIncrementResponse:
        """Check and count; with the mode RECORD_ONLY it is a report of what has happened."""
        event_us = self.now_us if at_us is None else at_us
        asked = check(
            company, feature, quantity, mode=mode, key=key, at_us=event_us, dimensions=dimensions
        )
        had = Needs(frozenset((company,)))
        answer = self.enforcer.check_and_increment(asked, self.now_us, had)
        if isinstance(answer, Needs):  # totals of a window that is over: nobody tells them here
            had = had.with_more(answer).without_leases()  # nor are leases to be had
            answer = self.enforcer.check_and_increment(asked, self.now_us, had)
        assert not isinstance(answer, Needs)
        if isinstance(answer, Replay):
            data = replayed(answer.kept)
        else:
            data = answer.kept or self._encode(answer.decision, answer.basis, answer.record_id)
        return pb.CheckAndIncrementResponse.FromString(data)

    def allows(self, quantity: int = 1, feature: str = "calls", company: str = "acme") -> bool:
        """Whether a check would be allowed; counts nothing."""
        return self.question(quantity, feature, company).decision.allowed

    def question(
        self,
        quantity: int = 1,
        feature: str = "calls",
        company: str = "acme",
        *,
        mode: GrantMode = GrantMode.ALL_OR_NOTHING,
        at_us: int | None = None,
        dimensions: Mapping[str, str] = NO_ATTRIBUTES,
    ) -> CheckResult:
        """What a check would be answered."""
        event_us = self.now_us if at_us is None else at_us
        asked = check(company, feature, quantity, mode=mode, at_us=event_us, dimensions=dimensions)
        found = self.queries.check(asked, self.now_us, Needs(frozenset((company,))))
        assert not isinstance(found, Needs)
        return found

    def metric(self, name: str, **labels: str) -> float:
        """The value of a metric; 0 where it was never counted."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def records(self) -> list[sync_pb2.UsageRecord]:
        """What waits to be sent."""
        run = whole(self.opened.outbox.next_run(100_000, 1 << 30))
        return [sync_pb2.UsageRecord.FromString(record) for record in run.records] if run else []

    def contents(self) -> dict[bytes, bytes]:
        """Every key of the store, and its bytes."""
        store = self.opened.store
        return dict(
            store.transact(
                lambda transaction: store.engine.scan(transaction.keyspace, b"", b"\xff", 1_000_000)
            )
        )

    def _open(self) -> None:
        opened, now = self.opened, lambda: self.now_us
        held = None
        if self._held_max is not None:
            held = CompanyCache(opened.snapshots, self._held_max)
        self.directory = Directory(
            opened.snapshots,
            self._cached_max,
            company_cache=held,
            authority=self.plane_status.authority,
        )
        self.metrics = SidecarMetrics("0", _REASONS, self.directory.has_feature, _NO_READINGS)
        self.dimensions = RequestDimensions(
            self.directory,
            let_pass=self._let_pass,
            counted=self.metrics.dimension_problems.add,
        )
        known = (self.directory, self.plane_status, self.dimensions)
        self.queries = Queries(opened.store, opened.counters, *known)
        self.explainer = Explainer(opened.store, *known)
        runner = InlineRunner(opened.store)
        source = None if self.plane_status.authority else self.plane
        self.leases.open(opened.store, now)
        sources = (None, None, None) if source is None else (source, self.totals, self.leases)
        snapshot_fetcher = SnapshotFetcher(self.directory, runner, *sources)
        observer = self._observer or DecisionObserver(self.metrics)
        checks = wire_checks(
            opened.store,
            self.directory,
            self.plane_status,
            observer,
            now,
            watchlist=Watchlist(1),
            usual=self._usual,
            message_bytes_max=self._message_bytes_max,
            dimensions=self.dimensions,
        )
        self.enforcer, self._encode = checks.enforcer, checks.encode
        self.methods = EnforcementMethods(opened.store, checks.deciding, runner, snapshot_fetcher)
        self.query_methods = QueryMethods(self.queries, runner, snapshot_fetcher, now)
        self.level_methods = wire_levels(
            opened.store,
            self.directory,
            self.plane_status,
            self.dimensions,
            self.methods,
            runner,
            snapshot_fetcher,
            observer,
            now,
        )

    def _snapshot(self, company: Company, resets_usage: bool) -> CompanySnapshot:
        held = self.opened.snapshots.company(company.id)
        if held is None:
            return compile_snapshot(company, self.revision)
        return continue_snapshot(
            held, company, self.revision, self.now_us, resets_usage=resets_usage
        )


def _nothing() -> float | None:
    return None


_NO_READINGS: Final = SidecarReadings(*[_nothing] * len(dataclasses.fields(SidecarReadings)))
