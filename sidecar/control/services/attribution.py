"""Finds out on which counters usage belongs, and looks up what that takes."""

from __future__ import annotations

from sidecar.control.rules.attribution import attribute, fits_timeline
from sidecar.control.rules.records import Record, read_attributes
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import HISTORY_US, default_snapshot
from sidecar.domain.entitlement.resolve import CatalogIndex


class Attributor:
    """Attributes records within one transaction; what it read once it keeps."""

    def __init__(self, transaction: ReadTransaction, now_us: int) -> None:
        self._transaction = transaction
        self._history_us = now_us - HISTORY_US
        self._catalog: CatalogIndex | None = None
        self._snapshots: dict[str, CompanySnapshot | None] = {}

    def counters_of(self, record: Record, data: bytes) -> tuple[CounterKey, ...] | None:
        """Counters that a record belongs on; `None` while its company or feature is unknown.

        They are those on which the sidecar counted it, if it did, unless the company's timeline has
        changed since, or the default plan stood in for a company that is there. `data` is the whole
        record.
        """
        snapshot = self._snapshot(record.company)
        is_counted_here = any(key.company == record.company for key in record.counters)
        if record.unattributed and (snapshot is not None or not is_counted_here):
            found = self._attributed(
                snapshot or default_of(self._index(), record.company), record, data
            )
            return record.counters or None if found is None else found
        if snapshot is None or self._fits(snapshot, record):
            return record.counters
        counters = self._attributed(snapshot, record, data)
        return record.counters if counters is None else counters

    def _fits(self, snapshot: CompanySnapshot, record: Record) -> bool:
        """Whether a record is where it belongs, as far back as the timeline tells."""
        return record.event_time_us < self._history_us or fits_timeline(
            snapshot, record.counters, record.event_time_us
        )

    def _attributed(
        self, snapshot: CompanySnapshot | None, record: Record, data: bytes
    ) -> tuple[CounterKey, ...] | None:
        if snapshot is None:
            return None
        message = read_attributes(data)
        assert message is not None, "it was read as a record"
        dimensions = dict(message.dimensions)  # a message's map invents what it lacks
        return attribute(self._index(), snapshot, record.feature, record.event_time_us, dimensions)

    def _snapshot(self, company: str) -> CompanySnapshot | None:
        if company not in self._snapshots:
            self._snapshots[company] = self._transaction.snapshots([company]).get(company)
        return self._snapshots[company]

    def _index(self) -> CatalogIndex:
        if self._catalog is None:
            self._catalog = load_index(self._transaction)
        return self._catalog


def default_of(index: CatalogIndex, company: str) -> CompanySnapshot | None:
    """What decides for a company that is not there; `None` without a default plan."""
    plan = index.catalog.default_plan
    return default_snapshot(company, plan, index.version) if plan else None


def load_index(transaction: ReadTransaction) -> CatalogIndex:
    """The catalog in force, arranged for look-ups; an empty one before the first."""
    stored = transaction.catalog()
    return (
        CatalogIndex(Catalog(), 0)
        if stored is None
        else CatalogIndex(stored.catalog, stored.version)
    )
