"""A whole sidecar without servers, whose plane is a stub: what is done in a step is measured.

There is no clock in it: operations on the engine, bytes and items are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from operator import methodcaller
from pathlib import Path
from typing import Any, Final

import pytest

from sidecar.api.admin.v1 import admin_pb2
from sidecar.api.sync.v1 import sync_pb2_grpc
from sidecar.app.container import Container, LoadedStore
from sidecar.app.operations import SidecarOperations
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import DAY_US
from sidecar.rpc import response_messages
from sidecar.rpc.admin import AdminMethods
from sidecar.shared.config import SidecarConfig
from sidecar.shared.convert import catalog as convert_catalog
from sidecar.shared.convert import counters as convert_counters
from sidecar.shared.convert import grants as convert_grants
from sidecar.shared.convert import snapshots as convert_snapshots
from sidecar.shared.ops.health import Health
from sidecar.storage import store_handle
from sidecar.storage.mapped_engine import open_engine
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.sync.coverage_keeper import CoverageKeeper
from tests.support.build import (
    DAY,
    NOW_US,
    catalog,
    catalog_snapshot,
    company,
    counter_ref,
    limit,
    metered,
)
from tests.support.method_calls import ANYONE
from tests.support.processes import until
from tests.support.sidecars import set_clock
from tests.support.stores import count_in, record_of
from tests.support.stub_plane import StubPlane
from tests.support.work import CountingEngine, Work

OPERATIONS_MAX: Final = 700
BYTES_MAX: Final = 1 << 20
ITEMS_MAX: Final = 100

OUTBOX_RECORDS_MAX: Final = 20_000
PER_USER: Final = limit("per_user", 5, window=DAY, each=["user"])
CONTENT: Final = catalog(
    {"basic": [metered("calls", limit(), PER_USER), metered("tokens", limit())]}
)


class Bench:
    """A whole sidecar, without servers; `work` is what it does."""

    def __init__(self, container: Container, plane: StubPlane, work: Work) -> None:
        self.container = container
        self.plane = plane
        self.work = work
        operations = SidecarOperations(container, Health(), NOW_US)
        self.admin = AdminMethods(operations)

    @property
    def keeper(self) -> CoverageKeeper:
        """What keeps how much of others' usage is known."""
        assert self.container.link is not None
        return self.container.link.keeper

    def apply(self, content: Catalog, *names: str) -> None:
        """Have it hold a catalog, and companies on the plan `basic`."""
        companies = [compile_snapshot(company(name), 1) for name in names]
        self.container.directory.apply(SnapshotChanges(catalog_snapshot(content), companies))

    def fill_outbox(self, records: int) -> None:
        """Let records wait, of two features in turn."""
        store = self.container.store
        some = [record_of(1, feature=feature) for feature in ("calls", "tokens")]
        for number in range(records):
            store.transact(methodcaller("append", some[number % 2]))

    def count_users(self, users: int, *days_back: int) -> None:
        """Count once on a counter of each user, on each of some days."""
        store = self.container.store
        for user in range(users):
            for back in days_back:
                at_us = NOW_US - back * DAY_US
                ref = counter_ref(PER_USER, (f"user {user}",), at_us)
                store.transact(partial(count_in, quantity=1, ref=ref))

    @asynccontextmanager
    async def bounded(self) -> AsyncIterator[None]:
        """Whatever is done until the block ends is done in bounded steps."""
        async with self.work.measured():
            yield
        most = self.work.most
        assert most.operations <= OPERATIONS_MAX, most
        assert most.bytes <= BYTES_MAX, most
        assert most.items <= ITEMS_MAX, most

    @asynccontextmanager
    async def running(self, work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
        """A background task runs until the block ends; it never ends by itself."""
        task = asyncio.create_task(work)
        try:
            yield
            assert not task.done(), task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def status(self) -> admin_pb2.GetStatusResponse:
        """What `GetStatus` says."""
        data = await self.admin.get_status(b"", ANYONE)
        return admin_pb2.GetStatusResponse.FromString(data)

    async def sent(self) -> None:
        """Wait until no record waits."""

        async def nothing_waits() -> bool:
            return not self.container.store.waiting_records()

        await until(nothing_waits, "records still wait")

    async def followed(self, epoch: str, revision: int) -> None:
        """Wait until the position is at a revision."""

        async def reached() -> bool:
            position = self.container.snapshots.position()
            return (epoch, revision) == (position.epoch, position.revision)

        await until(reached, f"revision {revision} is not reached")


@asynccontextmanager
async def bench_of(
    monkeypatch: pytest.MonkeyPatch, folder: Path, **settings: Any
) -> AsyncIterator[Bench]:
    """A sidecar on an empty store in a folder. `settings`: fields of `SidecarConfig`."""
    work = Work()
    monkeypatch.setattr(
        store_handle,
        "open_engine",
        lambda *args, **kwargs: CountingEngine(open_engine(*args, **kwargs), work),
    )
    plane = StubPlane(lambda: NOW_US)
    monkeypatch.setattr(sync_pb2_grpc, "SyncServiceStub", lambda _: plane)
    work.count(monkeypatch, convert_catalog, "_feature")
    work.count(monkeypatch, convert_grants, "_limit")
    work.count(monkeypatch, convert_snapshots, "_phase", "grant_from_message")
    work.count(monkeypatch, convert_counters, "total_from_message")
    work.count(monkeypatch, CatalogIndex, "resolve")
    work.count(monkeypatch, response_messages, "fill_limit_status", "limit_to_message")
    config = SidecarConfig(
        control="unix:/nowhere",
        store_path=str(folder / "store"),
        outbox_records_max=OUTBOX_RECORDS_MAX,
        **settings,
    )
    container = Container(config, LoadedStore(config))
    set_clock(container, NOW_US)
    try:
        yield Bench(container, plane, work)
    finally:
        await container.close()
