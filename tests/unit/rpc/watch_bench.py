"""Watches without a transport: on a store in memory, at a time that the test sets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from typing import Any, Final

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.directory.directory import Directory
from sidecar.domain.catalog.model import Catalog, EntitlementGrant, FeatureKind
from sidecar.domain.company.model import Company, CompanySnapshot
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.slices import Slices
from sidecar.domain.time.units import DAY_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.request_dimensions import RequestDimensions
from sidecar.engine.runner import InlineRunner
from sidecar.rpc.snapshot_fetch import SnapshotFetcher
from sidecar.rpc.watch import WatchMethods
from sidecar.storage.snapshots import SnapshotChanges
from sidecar.watch.states import CompanyState, StateReader
from sidecar.watch.watchlist import Watchlist
from tests.support.build import (
    DAY,
    HARD,
    MIDNIGHT_US,
    NOW_US,
    SOFT,
    catalog,
    catalog_snapshot,
    counter_ref,
    limit,
    metered,
)
from tests.support.method_calls import ANYONE
from tests.support.stores import MemoryDisk, OpenedStore
from tests.support.watches import Event, Events

DAILY: Final = limit("daily", 10, HARD, DAY)
MONTHLY: Final = limit("monthly", 1_000_000, SOFT)
CONTENT: Final = catalog(
    {
        "basic": [
            metered("calls", DAILY),
            EntitlementGrant("sso", enabled=True),
            metered("tokens", MONTHLY),
        ],
        "small": [EntitlementGrant("sso", enabled=True)],
    },
    {"sso": FeatureKind.BOOLEAN},
)
MIDNIGHT: Final = MIDNIGHT_US + DAY_US
"""The end of the day that holds `NOW_US`."""


class Source:
    """The plane: has companies by name; remembers what it was asked for."""

    def __init__(self, directory: Directory) -> None:
        self._directory = directory
        self.has: dict[str, CompanySnapshot] = {}
        self.asked: list[str] = []

    async def fetch(self, companies: Sequence[str], seconds: float | None) -> None:
        self.asked += companies
        found = [self.has[name] for name in companies if name in self.has]
        self._directory.apply(SnapshotChanges(companies=found))


class Reader(StateReader):
    """Tells when it has read."""

    def __init__(self, *parts: Any) -> None:
        super().__init__(*parts)
        self.has_read = asyncio.Event()

    def read(self, *arguments: Any) -> Slices[CompanyState]:
        self.has_read.set()
        return super().read(*arguments)


class Bench:
    """Watches on a store in memory, at a time that the test sets."""

    def __init__(
        self, *companies: Company, content: Catalog = CONTENT, let_pass: bool = False
    ) -> None:
        self.now_us = NOW_US
        self.opened = OpenedStore(MemoryDisk())
        self.watchlist = Watchlist(2)
        self.directory = Directory(self.opened.snapshots, 10, watched=self.watchlist)
        self.directory.apply(SnapshotChanges(catalog_snapshot(content)))
        self.directory.apply(
            SnapshotChanges(companies=[compile_snapshot(each, 1) for each in companies])
        )
        self.source = Source(self.directory)
        runner = InlineRunner(self.opened.store)
        plane_status = PlaneStatus(authority=False)
        self.reader = Reader(self.opened.store, self.directory, plane_status)
        self.methods = WatchMethods(
            self.reader,
            self.watchlist,
            runner,
            SnapshotFetcher(self.directory, runner, self.source),
            RequestDimensions(self.directory, let_pass=let_pass),
            lambda: self.now_us,
        )

    def watch(self, *features: str, of: str = "acme", **fields: Any) -> Stream:
        request = pb.WatchEntitlementsRequest(company=of, features=features, **fields)
        events = self.methods.watch_entitlements(request.SerializeToString(), ANYONE)
        return Stream(events, self)

    def count(self, quantity: int, feature: str = "calls") -> None:
        """Count as a decision does, and say so."""
        ref = counter_ref(DAILY if feature == "calls" else MONTHLY, at_us=self.now_us)
        self.opened.count(quantity, ref, feature=feature)
        self.watchlist.touch("acme", feature)

    def apply(self, *companies: Company) -> None:
        """Take snapshots over as the sync does."""
        changes = SnapshotChanges(companies=[compile_snapshot(each, 2) for each in companies])
        self.directory.apply(changes)
        self.watchlist.applied(changes)


class Stream(Events):
    """The events of one watch."""

    def __init__(self, messages: AsyncGenerator[bytes, None], bench: Bench) -> None:
        super().__init__(self._receive_one)
        self._messages = messages
        self._bench = bench

    async def silent(self) -> bool:
        """Whether nothing is left to tell, though everything is read again. The watch ends here."""
        has_read = self._bench.reader.has_read
        has_read.clear()
        self._bench.watchlist.touch_all()
        told, read = asyncio.create_task(self._receive_one()), asyncio.create_task(has_read.wait())
        # What is to be told is told in the very step that reads it.
        await asyncio.wait((told, read), return_when=asyncio.FIRST_COMPLETED)
        found = not told.done()
        for task in (told, read):
            task.cancel()
        await asyncio.gather(told, read, return_exceptions=True)
        return found

    async def close(self) -> None:
        """The caller goes away."""
        await self._messages.aclose()

    async def _receive_one(self) -> Event:
        return Event.FromString(await anext(self._messages))
