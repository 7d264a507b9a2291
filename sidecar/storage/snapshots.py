"""Snapshots in the store: what a restart without network decides by."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import msgspec

from sidecar.domain.catalog import CatalogSnapshot
from sidecar.domain.companies import CompanySnapshot
from sidecar.storage import codec, keys
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

T = TypeVar("T")


class Position(msgspec.Struct, frozen=True):
    """How far the control plane was followed: its state's identity, and the revision in it."""

    epoch: str = ""
    revision: int = 0


class SnapshotChanges(msgspec.Struct, frozen=True):
    """Changes that belong together. `position`: where they lead to; `None` leaves it as it is.

    `replace`: take them even where what is stored claims to be newer: the plane's state is another.
    """

    catalog: CatalogSnapshot | None = None
    companies: Sequence[CompanySnapshot] = ()
    removed: Sequence[str] = ()
    position: Position | None = None
    replace: bool = False


class Snapshots:
    """Reads and writes the snapshots of a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def catalog(self) -> CatalogSnapshot | None:
        """The catalog, once there is one."""
        return self._read(keys.META_CATALOG, CatalogSnapshot)

    def company(self, company: str) -> CompanySnapshot | None:
        """A company's snapshot, if it is held."""
        return self._store.transact(lambda transaction: _company(transaction, company))

    def position(self) -> Position:
        """How far the control plane was followed."""
        return self._read(keys.META_POSITION, Position) or Position()

    def apply(self, changes: SnapshotChanges) -> None:
        """Write changes in one step. A snapshot older than the one held is ignored."""

        def work(transaction: Transaction) -> None:
            kv = transaction.keyspace
            catalog = changes.catalog
            if catalog is not None:
                held = _read(transaction, keys.META_CATALOG, CatalogSnapshot)
                if held is None or changes.replace or held.version <= catalog.version:
                    kv.put(keys.META_CATALOG, codec.encode_value(catalog))
            for snapshot in changes.companies:
                known = _company(transaction, snapshot.company)
                if known is None or changes.replace or known.version <= snapshot.version:
                    kv.put(keys.snapshot_key(snapshot.company), codec.encode_snapshot(snapshot))
            for company in changes.removed:
                kv.delete(keys.snapshot_key(company))
            if changes.position is not None:
                kv.put(keys.META_POSITION, codec.encode_value(changes.position))

        self._store.transact(work)

    def held(self, after: str, most: int) -> list[str]:
        """Ids of companies held, in order, behind the one given; at most so many."""

        def work(transaction: Transaction) -> list[str]:
            start = keys.snapshot_key(after) + b"\0"
            stop = keys.after(keys.SNAPSHOTS)
            pairs = self._store.engine.scan(transaction.keyspace, start, stop, most)
            return [key[1:].decode() for key, _ in pairs]

        return self._store.transact(work)

    def _read(self, key: bytes, kind: type[T]) -> T | None:
        return self._store.transact(lambda transaction: _read(transaction, key, kind))


def _company(transaction: Transaction, company: str) -> CompanySnapshot | None:
    data = transaction.keyspace.get(keys.snapshot_key(company))
    return None if data is None else codec.decode_snapshot(data)


def _read(transaction: Transaction, key: bytes, kind: type[T]) -> T | None:
    data = transaction.keyspace.get(key)
    return None if data is None else codec.decode_value(data, kind)
