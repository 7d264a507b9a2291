"""The directory: who the companies are and what they may do, arranged for deciding quickly.

It holds the catalog and a bounded number of companies, least recently used first out; the store
holds all of them. A company's limits are resolved on first use and kept until its timeline moves
to another segment, or its snapshot or the catalog changes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.domain.bounds import BEGINNING_US
from sidecar.domain.catalog import CompanySnapshot, Limit, Segment
from sidecar.domain.counters import CounterRef, scope_values, slot_of
from sidecar.domain.entitlements import CatalogIndex, Entitlement
from sidecar.domain.timeline import segment_at
from sidecar.domain.windows import Window, window_at
from sidecar.storage import keys
from sidecar.storage.record_wire import (
    encode_counter,
    encode_owner,
    encode_slot,
    encode_window,
)
from sidecar.storage.snapshots import SnapshotChanges, Snapshots

_ABSENT_MAX: Final = 10_000


class Place(msgspec.Struct, frozen=True, gc=False):
    """Where a limit's usage is counted for some values: the counter, its key and its wire name."""

    ref: CounterRef
    key: bytes
    wire: bytes


class Meter:
    """A limit of one company's feature. Keeps what its counters have in common, and the last."""

    __slots__ = (
        "_base",
        "_company",
        "_last",
        "_plain",
        "_window",
        "_wire",
        "feature",
        "limit",
        "slot",
    )

    def __init__(self, company: CompanySnapshot, feature: str, limit: Limit) -> None:
        self._company = company
        self.feature = feature
        self.limit = limit
        self.slot = slot_of(limit)
        self._plain = not limit.scope.dimensions and not limit.scope.match
        self._base = keys.counter_base(company.company, feature, self.slot, ())
        self._wire = (encode_slot(self.slot), b"")
        self._window: Window | None = None
        self._last: Place | None = None

    def place(self, dimensions: Mapping[str, str], at_us: int) -> Place | None:
        """The counter for a request at an instant; `None` where the limit does not apply."""
        values = () if self._plain else scope_values(self.limit, dimensions)
        if values is None:
            return None
        window = self.window(at_us)
        last = self._last
        if last is not None and last.ref.window is window and last.ref.values == values:
            return last
        base = self._base + keys.values_hash(values) if values else self._base
        slot_wire, window_wire = self._wire
        place = self._last = Place(
            CounterRef(self.slot, values, window),
            keys.counter_key(base, window.start_us),
            encode_counter(slot_wire, values, window_wire),
        )
        return place

    def window(self, at_us: int) -> Window:
        """The limit's window that holds an instant."""
        window = self._window
        if window is not None and window.start_us <= at_us < window.end_us:
            return window
        company = self._company
        # A company without a subscription may have an override; its cycle then starts at the epoch.
        anchor_us = 0 if company.anchor_us is None else company.anchor_us
        window = window_at(
            self.limit.window, at_us, time_zone=company.time_zone, anchor_us=anchor_us
        )
        self._window = window
        self._wire = (self._wire[0], encode_window(window))
        return window


class FeatureView:
    """What a company may do with a feature: entitlement, meters, and the record's owner part."""

    __slots__ = ("entitlement", "meters", "owner")

    def __init__(self, company: CompanySnapshot, entitlement: Entitlement) -> None:
        feature = entitlement.feature.key
        self.entitlement = entitlement
        self.meters = tuple(Meter(company, feature, limit) for limit in entitlement.limits)
        self.owner = encode_owner(company.company, feature)


class CompanyView:
    """One company in one segment of its timeline."""

    __slots__ = ("_features", "_index", "segment", "snapshot", "version")

    def __init__(self, snapshot: CompanySnapshot, segment: Segment, index: CatalogIndex) -> None:
        self.snapshot = snapshot
        self.segment = segment
        self.version = max(snapshot.version, index.version)
        self._index = index
        self._features: dict[str, FeatureView] = {}

    def feature(self, key: str) -> FeatureView | None:
        """The view of a feature; `None` for one that the catalog lacks."""
        view = self._features.get(key)
        if view is None:
            entitlement = self._index.resolve(self.segment, key)
            if entitlement is None:
                return None
            view = self._features[key] = FeatureView(self.snapshot, entitlement)
        return view


class Directory:
    """Finds companies. `companies_max` bounds how many are kept in memory."""

    def __init__(self, snapshots: Snapshots, companies_max: int) -> None:
        self._snapshots = snapshots
        self._companies_max = companies_max
        self._views: OrderedDict[str, CompanyView] = OrderedDict()
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

    def apply(self, changes: SnapshotChanges) -> None:
        """Write changes to the store; every later decision obeys them."""
        self._snapshots.apply(changes)
        if changes.catalog is not None:
            stored = self._snapshots.catalog()
            assert stored is not None
            self._index = CatalogIndex(stored.catalog, stored.version)
            self._views.clear()
        for snapshot in changes.companies:
            self._views.pop(snapshot.company, None)
            self._absent.pop(snapshot.company, None)
        for company in changes.removed:
            self._views.pop(company, None)

    def in_memory(self) -> list[str]:
        """Ids of the companies that were used of late."""
        return list(self._views)

    def remember_absent(self, company: str, until_us: int) -> None:
        """The control plane has no such company: do not ask again before an instant."""
        self._absent[company] = until_us
        self._absent.move_to_end(company)
        if len(self._absent) > _ABSENT_MAX:
            self._absent.popitem(last=False)

    def holds(self, company: str, now_us: int) -> bool:
        """Whether there is no need to ask the plane for a company: it is held, or known absent."""
        return (
            company in self._views
            or self._absent.get(company, BEGINNING_US) > now_us
            or self._snapshots.company(company) is not None
        )

    def _load(self, company: str, at_us: int) -> CompanyView | None:
        snapshot = self._snapshots.company(company)
        return None if snapshot is None else self._keep(snapshot, at_us)

    def _keep(self, snapshot: CompanySnapshot, at_us: int) -> CompanyView | None:
        if self._index is None:
            return None
        view = CompanyView(snapshot, segment_at(snapshot, at_us), self._index)
        self._views[snapshot.company] = view
        self._views.move_to_end(snapshot.company)
        if len(self._views) > self._companies_max:
            self._views.popitem(last=False)
        return view
