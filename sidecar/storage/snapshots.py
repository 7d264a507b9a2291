"""Snapshots in the store: what a restart without network decides by.

Changes that belong together are seen as one, and are yet written in bounded steps. What does not
fit one step is staged first: snapshots under keys of their own, the catalog as a new generation of
parts. One small step switches: from then on what is staged hides what is beside it, while it is
moved into place. A process that ends before the switch has changed nothing, and one that ends
behind it everything: the rest is moved when the store is opened again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Final

import msgspec

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.slices import Slices, pages, whole
from sidecar.storage import codec, keys, snapshot_codec
from sidecar.storage.bounded_scan import scan_bounded
from sidecar.storage.catalog_parts import joined, parts_of
from sidecar.storage.company_names import forget_names, led_to, note_names
from sidecar.storage.kv_engine import KvTransaction
from sidecar.storage.room import require_room_for_snapshots
from sidecar.storage.snapshot_codec import CatalogHead
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.watch_position import (
    WatchPosition,
    is_staged,
    position_of,
    put_position,
    put_staged,
    reach_staged,
)

WRITTEN_AT_ONCE: Final = 160
"""Companies whose snapshots are written in one step."""
_WEIGHT_AT_ONCE: Final = 1_000
"""Phases, add-ons and overrides, beyond those of the first company."""
_PARTS_AT_ONCE: Final = 4
_NO_CATALOG: Final = CatalogHead(0, 0, 0)


class SnapshotChanges(msgspec.Struct, frozen=True):
    """Changes that belong together. `position`: where they lead to; `None` leaves it as it is.

    `replace`: take them even where what is stored claims to be newer: the plane's state is another.
    """

    catalog: CatalogSnapshot | None = None
    companies: Sequence[CompanySnapshot] = ()
    removed: Sequence[str] = ()
    position: WatchPosition | None = None
    replace: bool = False


def _nothing(_: bool) -> Slices[None]:
    yield from ()


class Snapshots:
    """Reads and writes the snapshots of a store; nobody else writes them."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._hides = store.transact(lambda transaction: is_staged(transaction.keyspace))
        self._is_clear = False
        whole(self._cleared())

    @property
    def store(self) -> Store:
        """Where they are."""
        return self._store

    def catalog(self) -> CatalogSnapshot | None:
        """The catalog, once there is one; read in one step, for a start."""

        def work(transaction: Transaction) -> CatalogSnapshot | None:
            kv = transaction.keyspace
            data = kv.get(keys.META_CATALOG)
            if data is None:
                return None
            head = snapshot_codec.decode_catalog_head(data)
            if not head.parts:
                return codec.decode_value(data, CatalogSnapshot)
            start, stop = _range_of(head.generation)
            found = self._store.engine.scan(kv, start, stop, head.parts)
            catalog = joined(codec.decode_value(data, Catalog) for _, data in found)
            return CatalogSnapshot(head.version, catalog)

        return self._store.transact(work)

    def company(self, company: str) -> CompanySnapshot | None:
        """A company's snapshot, by any of its ids, if it is held."""
        data = self._store.transact(lambda transaction: self._called(transaction, company))
        return snapshot_codec.decode_snapshot(data) if data else None

    def holds(self, company: str) -> bool:
        """Whether a company's snapshot is held."""
        return bool(self._store.transact(lambda transaction: self._called(transaction, company)))

    def position(self) -> WatchPosition:
        """How far the control plane was followed."""
        return self._store.transact(lambda transaction: position_of(transaction.keyspace))

    def company_ids(self, after: str, most: int) -> list[str]:
        """Ids of companies held, in order, behind the one given; at most so many.

        While changes are moved into place, those that they remove are still among them.
        """

        def work(transaction: Transaction) -> list[str]:
            kv, engine = transaction.keyspace, self._store.engine
            kinds = (keys.SNAPSHOTS, keys.STAGED) if self._hides else (keys.SNAPSHOTS,)
            found: set[str] = set()
            for kind in kinds:
                pairs = engine.scan(kv, kind + after.encode() + b"\0", keys.after(kind), most)
                found.update(keys.company_of(key) for key, _ in pairs)
            return sorted(found)[:most]

        return self._store.transact(work)

    def apply(self, changes: SnapshotChanges) -> None:
        """Write changes, all at once. A snapshot older than the one held is ignored."""
        whole(self.applying(changes))

    def applying(
        self, changes: SnapshotChanges, switched: Callable[[bool], Slices[None]] = _nothing
    ) -> Slices[None]:
        """The same in bounded steps; others may read in between, and must not write.

        In one of them all is seen at once; `switched` begins in the same step, and goes on in
        further ones. It is told whether the catalog was taken. Raises `Exhausted` where what room
        is left is for records alone: what is known then goes on until there is more.
        """
        if changes.companies or changes.catalog is not None:
            require_room_for_snapshots(self._store.engine)
        yield from self._cleared()
        if _fits_a_step(changes):
            self._store.transact(lambda transaction: _write(transaction, changes))
            yield from switched(False)
            return
        self._is_clear = False
        head = yield from self._staged(changes)
        self._store.transact(lambda transaction: _switch(transaction, head, changes.position))
        self._hides = True
        yield from switched(head is not None)
        yield
        yield from self._cleared()

    def _staged(self, changes: SnapshotChanges) -> Slices[CatalogHead | None]:
        """Put what is to be taken beside what is in force; the head of the catalog, if it is."""
        head = None
        if changes.catalog is not None:
            head = yield from self._staged_catalog(changes.catalog, replace=changes.replace)
        for companies in _batches(changes.companies):
            put = partial(_put_companies, companies, keys.staged_key, changes.replace)
            self._store.transact(put)
            yield
        for removed in pages(changes.removed, WRITTEN_AT_ONCE):
            self._store.transact(partial(_stage_removals, removed))
            yield
        return head

    def _staged_catalog(
        self, catalog: CatalogSnapshot, *, replace: bool
    ) -> Slices[CatalogHead | None]:
        stored = self._store.transact(_catalog_head)
        if not replace and stored.version > catalog.version:
            return None
        generation = stored.generation + 1
        number = 0
        for number, part in enumerate(parts_of(catalog.catalog), start=1):
            key, data = keys.catalog_part_key(generation, number), codec.encode_value(part)
            self._store.transact(partial(_put, key, data))
            yield
        return CatalogHead(catalog.version, generation, number)

    def _cleared(self) -> Slices[None]:
        """Move what is staged into place where the switch is behind it, else drop it."""
        while not self._is_clear:
            if self._store.transact(self._clear):
                yield
            else:
                self._hides, self._is_clear = False, True

    def _clear(self, transaction: Transaction) -> bool:
        """A step of clearing; whether there is more to be done."""
        kv, engine = transaction.keyspace, self._store.engine
        stop = keys.after(keys.STAGED)
        staged = scan_bounded(engine, kv, keys.STAGED, stop, WRITTEN_AT_ONCE)
        for key, data in staged:
            if self._hides and data:
                kv.put(keys.SNAPSHOTS + key[1:], data)
            elif self._hides:
                _remove(kv, keys.company_of(key))
            kv.delete(key)
        if staged:
            return True
        start, stop = _range_of(_catalog_head(transaction).generation)
        parts = engine.scan(kv, keys.CATALOG_PARTS, start, _PARTS_AT_ONCE)
        parts += engine.scan(kv, stop, keys.after(keys.CATALOG_PARTS), _PARTS_AT_ONCE)
        for key, _ in parts:
            kv.delete(key)
        if not parts and self._hides:
            reach_staged(kv)
        return bool(parts)

    def _called(self, transaction: Transaction, name: str) -> bytes | None:
        """Bytes of the snapshot of the company that is called so; none where none is held."""
        bytes_of = partial(self._bytes_of, transaction)
        return bytes_of(name) or led_to(transaction.keyspace, name, bytes_of)

    def _bytes_of(self, transaction: Transaction, company: str) -> bytes | None:
        """Bytes of a company's snapshot; none of one that was just removed."""
        staged = None
        if self._hides:
            staged = transaction.keyspace.get(keys.staged_key(company))
        return transaction.keyspace.get(keys.snapshot_key(company)) if staged is None else staged


def _fits_a_step(changes: SnapshotChanges) -> bool:
    count = len(changes.companies) + len(changes.removed)
    return (
        changes.catalog is None
        and count <= WRITTEN_AT_ONCE
        and len(changes.companies) == len(next(_batches(changes.companies), ()))
    )


def _batches(companies: Sequence[CompanySnapshot]) -> Iterator[list[CompanySnapshot]]:
    """The companies in order, as many at a time as are written in one step."""
    batch: list[CompanySnapshot] = []
    weight = 0
    for company in companies:
        added = company.weight
        if batch and (weight + added > _WEIGHT_AT_ONCE or len(batch) == WRITTEN_AT_ONCE):
            yield batch
            batch, weight = [], 0
        batch.append(company)
        weight += added
    if batch:
        yield batch


def _write(transaction: Transaction, changes: SnapshotChanges) -> None:
    """Write changes where they belong."""
    _put_companies(changes.companies, keys.snapshot_key, changes.replace, transaction)
    for company in changes.removed:
        _remove(transaction.keyspace, company)
    put_position(transaction.keyspace, changes.position)


def _switch(
    transaction: Transaction, head: CatalogHead | None, position: WatchPosition | None
) -> None:
    """Let what is staged hide what is beside it."""
    kv = transaction.keyspace
    if head is not None:
        kv.put(keys.META_CATALOG, snapshot_codec.encode_catalog_head(head))
    put_staged(kv, position)


def _put_companies(
    companies: Sequence[CompanySnapshot],
    key_of: Callable[[str], bytes],
    replace: bool,
    transaction: Transaction,
) -> None:
    """Put snapshots that are not older than those held; who has one is not absent."""
    kv = transaction.keyspace
    for snapshot in companies:
        kv.delete(keys.absent_key(snapshot.company))
        stored = kv.get(keys.snapshot_key(snapshot.company))
        if stored is None or replace or snapshot_codec.version_of(stored) <= snapshot.version:
            if replace:
                forget_names(kv, snapshot.company, stored)
            kv.put(key_of(snapshot.company), snapshot_codec.encode_snapshot(snapshot))
            note_names(kv, snapshot)


def _remove(kv: KvTransaction, company: str) -> None:
    forget_names(kv, company, kv.get(keys.snapshot_key(company)))
    kv.delete(keys.snapshot_key(company))


def _stage_removals(companies: Sequence[str], transaction: Transaction) -> None:
    for company in companies:
        transaction.keyspace.put(keys.staged_key(company), b"")


def _put(key: bytes, data: bytes, transaction: Transaction) -> None:
    transaction.keyspace.put(key, data)


def _catalog_head(transaction: Transaction) -> CatalogHead:
    data = transaction.keyspace.get(keys.META_CATALOG)
    return _NO_CATALOG if data is None else snapshot_codec.decode_catalog_head(data)


def _range_of(generation: int) -> tuple[bytes, bytes]:
    return keys.catalog_part_key(generation, 0), keys.catalog_part_key(generation + 1, 0)
