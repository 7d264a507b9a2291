"""The directory: who the companies are and what they may do, arranged for deciding quickly.

It holds the catalog and a bounded number of companies in memory, least recently used first out; the
store holds more of them, or all. A company's limits are resolved on first use and kept until its
timeline moves to another segment, or its snapshot or the catalog changes.

A company that the plane does not have is remembered as such, until the plane's changes bring it.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Collection, Container, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import msgspec

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.companies import CompanySnapshot
from sidecar.domain.entitlements import CatalogIndex
from sidecar.domain.timeline import default_snapshot, segment_at
from sidecar.service.held import HeldCompanies
from sidecar.service.views import CompanyView
from sidecar.storage.snapshots import SnapshotChanges, Snapshots

_ABSENT_MAX: Final = 10_000

T = TypeVar("T")


class Directory:
    """Finds companies. `companies_max` bounds how many are kept in memory.

    `held`: bounds how many are kept in the store; `None` for no bound. `authority`: there is no
    plane, so what is not held does not exist. `watched`: companies of which all news are wanted.
    """

    def __init__(
        self,
        snapshots: Snapshots,
        companies_max: int,
        *,
        held: HeldCompanies | None = None,
        authority: bool = False,
        watched: Container[str] = (),
    ) -> None:
        self._snapshots = snapshots
        self._companies_max = companies_max
        self._held = held
        self._authority = authority
        self._watched = watched
        self._wanted: Counter[str] = Counter()
        self._views: OrderedDict[str, CompanyView] = OrderedDict()
        self._defaults: OrderedDict[str, CompanyView] = OrderedDict()
        self._absent: OrderedDict[str, int] = OrderedDict()
        stored = snapshots.catalog()
        self._index = CatalogIndex(stored.catalog, stored.version) if stored else None

    @property
    def index(self) -> CatalogIndex | None:
        """The catalog, once there is one."""
        return self._index

    def company(self, company: str, at_us: int) -> CompanyView | None:
        """The company in the segment that holds an instant; `None` if no snapshot is held."""
        view = self._views.get(company)
        if view is None:
            return self._load(company, at_us)
        segment = view.segment
        if segment.from_us <= at_us < segment.until_us:
            self._views.move_to_end(company)
            return view
        return self._keep(view.snapshot, at_us)

    def default_company(self, company: str) -> CompanyView | None:
        """What stands in for a company that is unknown; `None` without a default plan."""
        view = self._defaults.get(company)
        if view is not None:
            self._defaults.move_to_end(company)
            return view
        index = self._index
        if index is None or not index.catalog.default_plan:
            return None
        snapshot = default_snapshot(company, index.catalog.default_plan, index.version)
        view = CompanyView(snapshot, snapshot.segments[0], index, is_default=True)
        _remember(self._defaults, company, view, self._companies_max)
        return view

    def is_absent(self, company: str, now_us: int, *, final: bool = False) -> bool:
        """Whether a company that is not held is known not to exist.

        `final`: the plane can't be asked again; what it said last holds.
        """
        if self._authority or (final and company in self._absent):
            return True
        return self._absent.get(company, BEGINNING_US) > now_us

    def apply(self, changes: SnapshotChanges) -> None:
        """Write changes to the store; every later decision obeys them."""
        if self._held is not None:
            gone = self._held.to_let_go(changes.companies, self._watched, self._wanted)
            if gone:
                changes = msgspec.structs.replace(changes, removed=(*changes.removed, *gone))
        self._snapshots.apply(changes)
        if changes.catalog is not None:
            stored = self._snapshots.catalog()
            assert stored is not None
            self._index = CatalogIndex(stored.catalog, stored.version)
            for company in self.in_memory():
                self._forget(company)
            self._defaults.clear()
        for snapshot in changes.companies:
            self._forget(snapshot.company)
            self._absent.pop(snapshot.company, None)
        for company in changes.removed:
            self._forget(company)
        if self._held is not None:
            self._held.applied(changes.companies, changes.removed)

    @contextmanager
    def wanting(self, companies: Collection[str]) -> Iterator[None]:
        """Companies are about to be used: they are not let go for others. For the event loop."""
        self._wanted.update(companies)
        try:
            yield
        finally:
            for company in companies:
                self._wanted[company] -= 1
                if not self._wanted[company]:
                    del self._wanted[company]

    def in_memory(self) -> list[str]:
        """Ids of the companies that were used of late."""
        return list(self._views)

    def remember_absent(self, company: str, until_us: int) -> None:
        """The control plane has no such company: do not ask again before an instant."""
        _remember(self._absent, company, until_us, _ABSENT_MAX)

    def follows(self, company: str) -> bool:
        """Whether news of a company are to be kept: it is held, watched, or known to be absent."""
        return (
            company in self._absent
            or company in self._watched
            or self._snapshots.company(company) is not None
        )

    def holds(self, company: str, now_us: int) -> bool:
        """Whether there is no need to ask the plane for a company: it is held, or known absent."""
        return (
            company in self._views
            or self.is_absent(company, now_us)
            or self._snapshots.company(company) is not None
        )

    def _forget(self, company: str) -> None:
        view = self._views.pop(company, None)
        if view is not None and self._held is not None:
            self._held.laid_down(company)
        self._defaults.pop(company, None)

    def _load(self, company: str, at_us: int) -> CompanyView | None:
        snapshot = self._snapshots.company(company)
        return None if snapshot is None else self._keep(snapshot, at_us)

    def _keep(self, snapshot: CompanySnapshot, at_us: int) -> CompanyView | None:
        if self._index is None:
            return None
        view = CompanyView(snapshot, segment_at(snapshot, at_us), self._index)
        gone = _remember(self._views, snapshot.company, view, self._companies_max)
        if self._held is not None:
            self._held.taken_up(snapshot.company)
            if gone is not None:
                self._held.laid_down(gone)
        return view


def _remember(kept: OrderedDict[str, T], company: str, value: T, most: int) -> str | None:
    """Keep a value as the most recently used; what had to go for it."""
    kept[company] = value
    kept.move_to_end(company)
    return kept.popitem(last=False)[0] if len(kept) > most else None
