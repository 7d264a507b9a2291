"""Finds limits that are new to companies, and has their counters filled.

It follows changes of companies in the order of (revision, company), and goes through all companies
where limits of the catalog count something else. How far it has come is kept in the store.
"""

from __future__ import annotations

from typing import Final

from msgspec.structs import replace

from sidecar.control.rules.filling import held_of, new_in_timeline, recounted_by_catalog
from sidecar.control.services.attribution import load_index
from sidecar.control.services.filling import begin
from sidecar.control.storage.filling_values import CountedBy, FillingWalk
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.resolve import CatalogIndex

PAGE: Final = 50
"""Companies looked at in one transaction, at the most."""
PAGE_BYTES: Final = 1 << 20
"""Most bytes of timelines that are read at once; one company may have more."""


def want_filled(transaction: WriteTransaction, before: Catalog, after: Catalog) -> None:
    """Have all companies looked through for limits that count something else by a catalog."""
    found = tuple(recounted_by_catalog(before, after))
    if found:
        walk = transaction.filling_walk()
        wanted = tuple(dict.fromkeys((*walk.wanted, *found)))
        transaction.put_filling_walk(replace(walk, wanted=wanted, catalog_company=""))


def is_to_be_filled(
    transaction: ReadTransaction,
    index: CatalogIndex,
    snapshot: CompanySnapshot,
    counted_by: CountedBy,
    now_us: int,
) -> bool:
    """Whether a limit is new to a company, and was not come by yet."""
    walk = transaction.filling_walk()
    if counted_by in walk.wanted and snapshot.company > walk.catalog_company:
        return True
    if not walk.since_us or (snapshot.version, snapshot.company) <= (walk.revision, walk.company):
        return False
    found = new_in_timeline(index, snapshot, walk.since_us, now_us)
    return any(new.counted_by == counted_by for new in found)


class FillingWalker:
    """Looks at companies, a page at a time. Not for threads side by side."""

    def __init__(self) -> None:
        self._index: CatalogIndex | None = None

    def any_left(self, store: PlaneStore) -> bool:
        """Whether there are companies to look at."""
        with store.read() as transaction:
            walk = transaction.filling_walk()
            is_new = not walk.since_us
            return is_new or bool(walk.wanted or _changed_after(transaction, walk, 1)[0])

    def step(self, store: PlaneStore, now_us: int) -> None:
        """Look at a page of companies that changed, and at one of all, if the catalog has."""
        with store.write() as transaction:
            walk = transaction.filling_walk()
            transaction.put_filling_walk(
                self._look_through(transaction, self._follow(transaction, walk, now_us), now_us)
            )

    def _follow(self, transaction: WriteTransaction, walk: FillingWalk, now_us: int) -> FillingWalk:
        # At the first look nothing is new: what changed under an earlier version is left as it is.
        found, more = _changed_after(transaction, walk, PAGE) if walk.since_us else ([], False)
        index = self._index_at(transaction)
        for snapshot in transaction.snapshots(company for _, company in found).values():
            for new in new_in_timeline(index, snapshot, walk.since_us, now_us):
                begin(transaction, snapshot, new, now_us)
        if more:
            revision, company = found[-1]
            return replace(walk, revision=revision, company=company)
        revision = transaction.state().revision + 1
        return replace(walk, revision=revision, company="", since_us=now_us)

    def _look_through(
        self, transaction: WriteTransaction, walk: FillingWalk, now_us: int
    ) -> FillingWalk:
        if not walk.wanted:
            return walk
        ids = transaction.company_ids_after(walk.catalog_company, PAGE)
        room, _ = transaction.snapshots_within(ids, PAGE_BYTES)
        index = self._index_at(transaction)
        for snapshot in room.values():
            for new in held_of(index, snapshot, walk.wanted, now_us):
                begin(transaction, snapshot, new, now_us)
        if not ids:
            return replace(walk, wanted=(), catalog_company="")
        looked_at = [company for company in ids if company in room]
        return replace(walk, catalog_company=looked_at[-1])

    def _index_at(self, transaction: ReadTransaction) -> CatalogIndex:
        if self._index is None or self._index.version != transaction.catalog_version():
            self._index = load_index(transaction)
        return self._index


def _changed_after(
    transaction: ReadTransaction, walk: FillingWalk, limit: int
) -> tuple[list[tuple[int, str]], bool]:
    """Companies that changed behind a place, as (revision, id); and whether there may be more."""
    found, more = transaction.company_changes(walk.revision, walk.company, limit, PAGE_BYTES)
    return [(change.revision, change.id) for change in found], more
