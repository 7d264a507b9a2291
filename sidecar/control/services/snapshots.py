"""Gives sidecars what they decide by: on demand, and as it changes.

Watching goes through changes in the order of (revision, company), a page at a time, each page a
short transaction of its own. A company that changes meanwhile moves behind the position, so the
page behind which there is no more ends a state that is complete: nothing of it was missed, however
many transactions it took.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from sidecar.control.services.heard import hear, is_noted
from sidecar.control.services.lease_recovery import note_older_state
from sidecar.control.services.totals import (
    NO_TOTALS,
    TotalsPage,
    TotalsPlace,
    TotalsWanted,
    page_of,
    version_of,
)
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import CompanyChange
from sidecar.domain.catalog.model import CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.entitlement.earlier_overrides import has_changes

PAGE_COMPANIES: Final = 200
PAGE_BYTES: Final = 4 << 20
"""Most bytes of timelines, as they are stored, that are read at once; one may have more."""


_BEGINNING: Final = (0, "")


class FetchedSnapshots(msgspec.Struct, frozen=True):
    """Snapshots of companies that exist, ids of those that do not, and totals of both.

    `catalog` is `None` where the caller has it already, or where there is none yet. `totals`: the
    first page of them. `left_out`: companies for whose snapshots there was no room. `in_force`: the
    catalog, for a caller that does not read changes, where snapshots have some.
    """

    catalog: CatalogSnapshot | None
    snapshots: Sequence[CompanySnapshot]
    unknown: Sequence[str]
    totals: TotalsPage
    left_out: Sequence[str]
    in_force: CatalogSnapshot | None = None


class ResumePosition(msgspec.Struct, frozen=True):
    """How far a watcher has come.

    Everything up to (`revision`, `company`) was sent, and the catalog if its version is at most
    `catalog_version`. Removals are told if they are after `known_revision`. `with_totals`: usage
    goes along, for a caller that starts with nothing. `totals_version`: of the ledger, then.
    `accepts_spans`: which form of snapshots the caller reads. `accepts_changes`: whether it reads
    changes of what is granted. `accepts_kinds`: whether it knows all kinds of features.
    `retold_until`: for one that does not, what changes depends on the
    catalog, and is told anew with each: this is how far it was told with the one before.
    """

    revision: int
    company: str
    catalog_version: int
    known_revision: int
    with_totals: bool
    totals_version: int = 0
    accepts_spans: bool = False
    accepts_changes: bool = False
    accepts_kinds: bool = False
    retold_until: tuple[int, str] = _BEGINNING


class WatchPage(msgspec.Struct, frozen=True):
    """A step of a watch. `complete`: with it, everything up to `revision` was sent.

    `totals`: the first page of those of its companies, where usage goes along. `in_force`: as in
    `FetchedSnapshots`.
    """

    epoch: str
    revision: int
    complete: bool
    catalog: CatalogSnapshot | None
    snapshots: Sequence[CompanySnapshot]
    removed: Sequence[str]
    totals: TotalsPage
    in_force: CatalogSnapshot | None = None

    @property
    def empty(self) -> bool:
        """Whether it tells of no change."""
        return self.catalog is None and not self.snapshots and not self.removed


def fetch(
    store: PlaneStore,
    companies: Sequence[str],
    known_catalog: int,
    incarnation: str,
    now_us: int,
    *,
    accepts_names: bool = False,
    accepts_changes: bool = False,
) -> FetchedSnapshots:
    """Snapshots of the companies asked for, with the usage in their windows of now.

    `accepts_names`: also of those that are asked for by an id that they were renamed to. Usage is
    told of the ids asked for alone: the caller asks again by the first id, which the snapshot says.
    """
    with store.read() as transaction:
        newest = transaction.catalog_version()
        catalog = transaction.catalog() if newest != known_catalog else None
        asked = list(dict.fromkeys(companies))
        known = transaction.first_ids(asked) if accepts_names else {}
        ids = list(dict.fromkeys(known.get(name, name) for name in asked))
        found, no_room = transaction.snapshots_within(ids, PAGE_BYTES)
        in_force = _in_force(transaction, found.values(), accepts_changes)
        # Of those that do not exist, too: they may be on the default plan.
        wanted = TotalsWanted(incarnation, companies)
        totals = page_of(transaction, wanted, TotalsPlace(), now_us)
    left_out = frozenset(no_room)
    return FetchedSnapshots(
        catalog=catalog,
        snapshots=list(found.values()),
        unknown=[
            name
            for name in asked
            if (id_ := known.get(name, name)) not in found and id_ not in left_out
        ],
        totals=totals,
        left_out=[name for name in asked if known.get(name, name) in left_out],
        in_force=in_force,
    )


def start(
    store: PlaneStore,
    resume_revision: int,
    without_companies: bool,
    now_us: int,
    *,
    incarnation: str = "",
    accepts_spans: bool = False,
    accepts_changes: bool = False,
    accepts_kinds: bool = False,
) -> ResumePosition:
    """Where a watch begins. `incarnation`: whose, so that it is known to be there.

    A caller that knows a later revision than there is shows that this state was restored from a
    backup: then it gets a new epoch, since its revisions will mean something else.
    """
    with store.read() as transaction:
        revision = transaction.state().revision
        version = version_of(transaction)
        is_there = not incarnation or is_noted(transaction, incarnation, now_us)
    if not is_there:
        with store.write() as writing:
            hear(writing, incarnation, now_us)
    if resume_revision > revision:
        with store.write() as writing:
            if resume_revision > writing.state().revision:
                writing.renew_epoch()
                note_older_state(writing, now_us)
        resume_revision = 0
    if resume_revision:
        return ResumePosition(
            revision=resume_revision + 1,
            company="",
            catalog_version=resume_revision,
            known_revision=resume_revision,
            with_totals=False,
            accepts_spans=accepts_spans,
            accepts_changes=accepts_changes,
            accepts_kinds=accepts_kinds,
        )
    return ResumePosition(
        revision=1 + (revision if without_companies else 0),
        company="",
        catalog_version=0,
        known_revision=revision,
        with_totals=not without_companies,
        totals_version=0 if without_companies else version,
        accepts_spans=accepts_spans,
        accepts_changes=accepts_changes,
        accepts_kinds=accepts_kinds,
    )


def next_page(
    store: PlaneStore, position: ResumePosition, incarnation: str, now_us: int
) -> tuple[WatchPage, ResumePosition]:
    """What comes after a position, and the position after that."""
    with store.read() as transaction:
        state = transaction.state()
        newest = transaction.catalog_version()
        catalog = transaction.catalog() if newest > position.catalog_version else None
        if catalog is not None and position.catalog_version and not position.accepts_changes:
            position = _retelling(position)
        changes, more = transaction.company_changes(
            position.revision, position.company, PAGE_COMPANIES, PAGE_BYTES
        )
        present = [
            change.snapshot
            for change in changes
            if change.snapshot is not None
            and (_is_new(change, position) or has_changes(change.snapshot))
        ]
        in_force = _in_force(transaction, present, position.accepts_changes)
        totals = NO_TOTALS
        if position.with_totals and present:
            wanted = TotalsWanted(incarnation, [snapshot.company for snapshot in present])
            totals = page_of(transaction, wanted, TotalsPlace(), now_us)
    complete = not more
    page = WatchPage(
        epoch=state.epoch,
        revision=state.revision,
        complete=complete,
        catalog=catalog,
        snapshots=present,
        removed=[
            change.id
            for change in changes
            if change.snapshot is None
            and change.revision > position.known_revision
            and _is_new(change, position)
        ],
        totals=totals,
        in_force=in_force,
    )
    if complete:
        # Behind every company of the revision: no id is empty.
        return page, msgspec.structs.replace(
            position,
            revision=state.revision + 1,
            company="",
            catalog_version=newest,
            with_totals=False,
            retold_until=_BEGINNING,
        )
    last = changes[-1]
    return page, msgspec.structs.replace(
        position, revision=last.revision, company=last.id, catalog_version=newest
    )


def _retelling(position: ResumePosition) -> ResumePosition:
    """From the start again, for those companies of which the catalog decides what is told."""
    told_until = max(position.retold_until, (position.revision, position.company))
    return msgspec.structs.replace(position, revision=1, company="", retold_until=told_until)


def _is_new(change: CompanyChange, position: ResumePosition) -> bool:
    """Whether it was not told with the catalog before."""
    return (change.revision, change.id) > position.retold_until


def _in_force(
    transaction: ReadTransaction, snapshots: Iterable[CompanySnapshot], accepts_changes: bool
) -> CatalogSnapshot | None:
    """The catalog, where it decides what a caller is told of snapshots."""
    if accepts_changes or not any(map(has_changes, snapshots)):
        return None
    return transaction.catalog()
