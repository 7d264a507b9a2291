"""The port that every database behind the control plane implements.

Synchronous, and safe to use from several threads. A transaction is explicit: what a `read` sees is
one state of the store, what a `write` does happens as a whole or not at all, is on disk once the
block ends, and writers follow one another. Sums saturate at -INT64_MAX and INT64_MAX
instead of failing. Every method raises `Unavailable` where the database cannot be used.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from sidecar.control.storage.credit_port import CreditReads, CreditWrites
from sidecar.control.storage.filling_port import FillingReads, FillingWrites
from sidecar.control.storage.lease_port import LeaseReads, LeaseWrites
from sidecar.control.storage.level_port import LevelReads, LevelWrites
from sidecar.control.storage.name_port import NameReads, NameWrites
from sidecar.control.storage.plan_port import PlanReads, PlanWrites
from sidecar.control.storage.recovery_port import RecoveryReads, RecoveryWrites
from sidecar.control.storage.rollover_port import RolloverReads, RolloverWrites
from sidecar.control.storage.seat_port import SeatReads, SeatWrites
from sidecar.control.storage.values import (
    Booked,
    CompanyChange,
    CounterKey,
    CounterState,
    IncarnationTally,
    KeyUse,
    KnownIncarnation,
    LedgerLine,
    LineFilter,
    LinePosition,
    Loss,
    LossCount,
    PlaneState,
    StoredCompany,
    Tombstone,
    TotalsPosition,
    UsageSum,
)
from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.limits.counters import CounterTotal
from sidecar.domain.time.sure import KnownTime


class ReadTransaction(
    CreditReads,
    FillingReads,
    LeaseReads,
    LevelReads,
    NameReads,
    PlanReads,
    RecoveryReads,
    RolloverReads,
    SeatReads,
    Protocol,
):
    """Questions to one state of the store."""

    def state(self) -> PlaneState:
        """Epoch and revision."""

    def known_time(self) -> KnownTime | None:
        """What was last known of the time; `None` before the first."""

    def catalog(self) -> CatalogSnapshot | None:
        """The catalog in force; `None` before the first."""

    def catalog_version(self) -> int:
        """Revision at which the catalog last changed; 0 before the first."""

    def companies(self, ids: Iterable[str]) -> dict[str, StoredCompany]:
        """Those of the companies that exist, by id."""

    def snapshots(self, ids: Iterable[str]) -> dict[str, CompanySnapshot]:
        """What sidecars get of those of the companies that exist, by id; cheaper than all of it."""

    def snapshots_within(
        self, ids: Sequence[str], bytes_max: int
    ) -> tuple[dict[str, CompanySnapshot], Sequence[str]]:
        """The same as far as it has room, at least for the first, and the ids that have none."""

    def tombstones(self, ids: Iterable[str]) -> dict[str, Tombstone]:
        """What stays of those of the companies that were removed, by id."""

    def companies_after(self, company: str, limit: int) -> list[StoredCompany]:
        """Companies with greater ids, in the order of their ids."""

    def company_ids_after(self, company: str, limit: int) -> list[str]:
        """Their ids alone, which cost far less."""

    def companies_naming(
        self, keys: Sequence[str], company: str, limit: int
    ) -> list[StoredCompany]:
        """The same of those that have or override one of the keys, and perhaps of some more.

        A key is that of a plan, an add-on or a feature. A few cost far less than all companies.
        """

    def company_changes(
        self, revision: int, company: str, limit: int, bytes_max: int
    ) -> tuple[list[CompanyChange], bool]:
        """Last changes, in the order of (revision, id), after that position.

        As many as there is room for, at least one; whether there may be more.
        """

    def incarnation(self, incarnation: str) -> KnownIncarnation | None:
        """What is known of a sidecar's store."""

    def chains(self, incarnation: str, first: int, last: int) -> dict[int, bytes]:
        """Chains of an incarnation at sequences first to last, as far as there are any."""

    def tallies(self, incarnation: str) -> list[IncarnationTally]:
        """Sums by feature, in the order of the keys."""
        ...

    def losses(self, limit: int, *, with_acknowledged: bool) -> list[Loss]:
        """Losses, those noticed last first."""
        ...

    def losses_of(self, incarnation: str, first_sequence: int) -> list[Loss]:
        """Those of an incarnation from a sequence on, oldest first; at most 16."""
        ...

    def loss_count(self) -> LossCount:
        """Losses that nobody has acknowledged."""
        ...

    def key_uses(self, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], KeyUse]:
        """First records under (company, idempotency key), where there are any."""
        ...

    def totals(self, keys: Iterable[CounterKey], incarnation: str) -> list[CounterTotal]:
        """Totals of counters, with the incarnation's part as `own`; 0 where nothing is counted."""
        ...

    def totals_of_slot(
        self, behind: CounterKey, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        """Totals on the slot and window of a counter, of values behind its own, in their order."""
        ...

    def counters(self, keys: Iterable[CounterKey]) -> list[CounterState]:
        """Those of the counters that exist, with all their parts."""
        ...

    def ledger_version(self) -> int:
        """Version of the ledger: that of the counter that changed last, or more."""
        ...

    def unended_totals(
        self, company: str, after: CounterKey | None, at_us: int, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        """Counters of a company whose window ends after an instant, behind one of them.

        In the order of their keys, which never changes: what is added meanwhile has a later version
        than the ledger had before.
        """
        ...

    def changed_totals(
        self, company: str, after: TotalsPosition, incarnation: str, limit: int
    ) -> list[CounterTotal]:
        """Counters of a company, or of all for an empty one, behind a position, in that order."""
        ...

    def changed_counters(self, after: TotalsPosition, limit: int) -> list[CounterState]:
        """The same of all companies, with all their parts."""
        ...

    def lines(self, wanted: LineFilter, after: LinePosition | None, limit: int) -> list[LedgerLine]:
        """Lines of one company, oldest event first."""
        ...

    def usage_sums(
        self, wanted: LineFilter, by_company: bool, by_day: bool, limit: int
    ) -> list[UsageSum]:
        """Sums by feature and what is asked, in the order of company, feature and day."""
        ...


class WriteTransaction(
    CreditWrites,
    FillingWrites,
    LeaseWrites,
    LevelWrites,
    NameWrites,
    PlanWrites,
    RecoveryWrites,
    RolloverWrites,
    SeatWrites,
    ReadTransaction,
    Protocol,
):
    """Questions and changes; the questions see the changes."""

    def renew_epoch(self) -> None:
        """Give the state a new identity."""
        ...

    def put_known_time(self, known: KnownTime) -> None:
        """Replace what is known of the time."""
        ...

    def next_revision(self) -> int:
        """Move the revision up by one and return it."""
        ...

    def next_ledger_version(self, now_us: int) -> int:
        """Move the ledger's version up, to the present in microseconds if that is more; return it.

        So it goes on growing where an older state is restored, which knows less of the past.
        """
        ...

    def put_catalog(self, catalog: Catalog, revision: int) -> None:
        """Replace the catalog."""
        ...

    def put_companies(self, companies: Iterable[StoredCompany]) -> None:
        """Create or replace companies, as of the revision that is their snapshot's version."""
        ...

    def remove_companies(self, ids: Iterable[str], revision: int) -> None:
        """Put tombstones in the place of companies that exist."""
        ...

    def put_incarnation(self, incarnation: KnownIncarnation) -> None:
        """Create or replace what is known of a sidecar's store."""
        ...

    def put_loss(self, loss: Loss) -> None:
        """Create or replace what is known of a loss: same incarnation, sequence and instant."""
        ...

    def drop_losses(self, incarnation: str, first: int, last: int) -> None:
        """Forget those of an incarnation that begin at sequences first to last: they came."""
        ...

    def acknowledge_losses(self, noticed_until_us: int, now_us: int) -> int:
        """Say that those noticed up to an instant were seen; how many were not before."""
        ...

    def append(self, lines: Sequence[Booked], chains: Sequence[bytes]) -> None:
        """Append new lines, each with its chain; the readable ones to their tallies, too."""
        ...

    def put_key_uses(self, uses: Mapping[tuple[str, str], KeyUse], elapsed_us: int) -> None:
        """Remember the first records under (company, idempotency key); replaces older ones.

        `elapsed_us`: what had elapsed when they came (see `SureTime`).
        """
        ...

    def forget_key_uses(self, before_us: int, limit: int) -> int:
        """Forget at most so many that came before so much had elapsed; returns how many."""
        ...

    def add_to_counters(
        self,
        incarnation: str,
        amounts: Mapping[CounterKey, int],
        version: int,
        corrections: Mapping[CounterKey, int] | None = None,
    ) -> None:
        """Add amounts to an incarnation's parts, corrections to the plane's, both to totals.

        Both at once: no total saturates by what is taken back of it in the same step. One that
        saturated before is made of its parts again once something is taken back.
        """
        ...


class PlaneStore(Protocol):
    """A database."""

    def read(self) -> AbstractContextManager[ReadTransaction]:
        """A transaction that only asks."""
        ...

    def write(self) -> AbstractContextManager[WriteTransaction]:
        """A transaction that changes; it ends with the block, and undoes all on an exception."""
        ...

    def lost(self) -> str:
        """What of the database was deleted, replaced or found damaged, in words; or empty.

        Where it is no longer in its place, every transaction raises `Unavailable` (reason
        STORE_GONE), one that changes something perhaps after the change.
        """
        ...

    def close(self) -> None:
        """Let go of the database. To be called when no transaction is open."""
        ...
