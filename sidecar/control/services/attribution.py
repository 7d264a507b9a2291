"""Looks up what is needed to put unattributed usage on its counters."""

from __future__ import annotations

from sidecar.control.rules.attribution import attribute
from sidecar.control.rules.records import Record, read_attributes
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog import Catalog, CompanySnapshot
from sidecar.domain.entitlements import CatalogIndex
from sidecar.domain.timeline import compile_snapshot


class Attributor:
    """Attributes records within one transaction; what it read once it keeps."""

    def __init__(self, transaction: ReadTransaction) -> None:
        self._transaction = transaction
        self._catalog: CatalogIndex | None = None
        self._snapshots: dict[str, CompanySnapshot | None] = {}

    def counters_of(self, record: Record, data: bytes) -> tuple[CounterKey, ...] | None:
        """Counters that a record belongs on; `None` while its company or feature is unknown."""
        snapshot = self._snapshot(record.company)
        if snapshot is None:
            return None
        return attribute(
            self._index(),
            snapshot,
            record.feature,
            record.event_time_us,
            dict(read_attributes(data).dimensions),  # a message's map invents what it lacks
        )

    def _snapshot(self, company: str) -> CompanySnapshot | None:
        if company not in self._snapshots:
            stored = self._transaction.companies([company]).get(company)
            self._snapshots[company] = (
                None if stored is None else compile_snapshot(stored.company, stored.revision)
            )
        return self._snapshots[company]

    def _index(self) -> CatalogIndex:
        if self._catalog is None:
            self._catalog = load_index(self._transaction)
        return self._catalog


def load_index(transaction: ReadTransaction) -> CatalogIndex:
    """The catalog in force, arranged for look-ups; an empty one before the first."""
    stored = transaction.catalog()
    return (
        CatalogIndex(Catalog(), 0)
        if stored is None
        else CatalogIndex(stored.catalog, stored.version)
    )
