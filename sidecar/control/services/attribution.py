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
from sidecar.domain.limits.counters import is_level


class Attributor:
    """Attributes records within one transaction; what it read once it keeps.

    `has_lost_state`: whether the plane did, so lately that records are of what it does not know of.
    """

    def __init__(self, transaction: ReadTransaction, now_us: int) -> None:
        self._transaction = transaction
        self._history_us = now_us - HISTORY_US
        recovery = transaction.lease_recovery()
        self.has_lost_state = recovery is not None and recovery.restored_us > self._history_us
        self._catalog: CatalogIndex | None = None
        self._snapshots: dict[str, CompanySnapshot | None] = {}

    def counters_of(self, record: Record, data: bytes) -> tuple[CounterKey, ...] | None:
        """Counters that a record belongs on; `None` while its company or feature is unknown.

        They are those on which the sidecar counted it, if it did, unless the company's timeline has
        changed since, or the default plan stood in for a company that is there. Where state was
        lost they are those of the limits of now, too: it may have been counted by limits that this
        state does not know of, and filled nothing for. `data` is the whole record.
        """
        snapshot = self.snapshot(record.company)
        is_counted_here = any(key.company == record.company for key in record.counters)
        if record.unattributed and (snapshot is not None or not is_counted_here):
            found = self._attributed(
                snapshot or default_of(self.index(), record.company), record, data
            )
            return record.counters or None if found is None else found
        if snapshot is None or self._fits(snapshot, record):
            if not self.has_lost_state:
                return record.counters
            snapshot = snapshot or default_of(self.index(), record.company)
            now = self._attributed(snapshot, record, data) or ()
            return tuple(dict.fromkeys((*record.counters, *now)))
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
        found = attribute(self.index(), snapshot, record.feature, record.event_time_us, dimensions)
        if found is None or not record.is_level:
            return found
        # What falls as well as rises may take nothing off what is used up.
        return tuple(key for key in found if is_level(key.counter.slot))

    def snapshot(self, company: str) -> CompanySnapshot | None:
        """A company's timeline; `None` for one that is not there."""
        if company not in self._snapshots:
            self._snapshots[company] = self._transaction.snapshots([company]).get(company)
        return self._snapshots[company]

    def index(self) -> CatalogIndex:
        """The catalog in force."""
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
