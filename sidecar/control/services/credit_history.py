"""What happened to a company's balances: the ledger's burns, and what the plane did, by time.

Burns stand in the records, at the time of their events; grants, voids, refunds, repayments, and
what the plane burned itself have been noted; expiries come of the grants. A page goes on in each of
the three behind where the one before ended, and looks through a bounded number of records.
"""

from __future__ import annotations

import enum
from typing import Final, TypeAlias

import msgspec

from sidecar.control.services.credit_accounts import account_of_grant
from sidecar.control.services.credit_parts import NamedPart, PartNames, recorded_burns
from sidecar.control.services.directory import no_company
from sidecar.control.services.names import first_id
from sidecar.control.storage.credit_values import (
    CreditEntry,
    CreditEntryKind,
    EntryFilter,
    EntryPart,
)
from sidecar.control.storage.port import PlaneStore, ReadTransaction
from sidecar.control.storage.values import LedgerLine, LineFilter, LinePosition, record_id
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.company.model import CompanySnapshot

LINES_LOOKED_MAX: Final = 5_000
"""Records that are looked through for one page, at the most."""
_LINES_AT_ONCE: Final = 500


class HistoryKind(enum.IntEnum):
    """What happened. Numbers as in the API."""

    GRANTED = 1
    VOIDED = 2
    EXPIRED = 3
    BURNED = 4
    REFUNDED = 5
    REPAID = 6


class HistoryEvent(msgspec.Struct, frozen=True):
    """Something that happened to a balance, in micro-credits.

    `record`: id of the usage record that burned, or was refunded. `metered`, `quantity`: what it
    used. `grant`: what was granted, voided or has expired.
    """

    at_us: int
    kind: HistoryKind
    feature: str
    amount: int
    parts: tuple[NamedPart, ...] = ()
    grant: str = ""
    record: str = ""
    metered: str = ""
    quantity: int = 0
    reason: str = ""


class HistoryPlace(msgspec.Struct, frozen=True):
    """Behind what a history goes on, in each of what it is made of."""

    entries: tuple[int, int] = (-1, 0)
    expired: tuple[int, str] = (-1, "")
    lines: LinePosition | None = None


_Found: TypeAlias = tuple[HistoryEvent, HistoryPlace]
"""An event, and the place that has what it comes from behind it."""

_KINDS: Final = {
    CreditEntryKind.GRANTED: HistoryKind.GRANTED,
    CreditEntryKind.VOIDED: HistoryKind.VOIDED,
    CreditEntryKind.REFUNDED: HistoryKind.REFUNDED,
    CreditEntryKind.REPAID: HistoryKind.REPAID,
    CreditEntryKind.BURNED: HistoryKind.BURNED,
    CreditEntryKind.BURNED_ANEW: HistoryKind.BURNED,
}


def list_history(
    store: PlaneStore, wanted: EntryFilter, after: HistoryPlace, limit: int, now_us: int
) -> tuple[list[HistoryEvent], HistoryPlace | None]:
    """A page of what happened, the oldest first, and where it goes on; `None`: that was all.

    It may have less than the limit, and others follow. Raises `NotFound` for an unknown company.
    """
    with store.read() as transaction:
        id_ = first_id(transaction, wanted.company)
        wanted = msgspec.structs.replace(wanted, company=id_)
        snapshot = _snapshot(transaction, id_)
        if snapshot is None:
            raise no_company(transaction, wanted.company)
        page = _Page(transaction, snapshot, wanted, after, now_us)
        return page.read(limit)


def _snapshot(transaction: ReadTransaction, company: str) -> CompanySnapshot | None:
    found = transaction.snapshots([company]).get(company)
    if found is not None:
        return found
    gone = transaction.tombstones([company]).get(company)
    return None if gone is None else gone.snapshot


def _cut(found: list[_Found], limit: int) -> list[_Found]:
    """The first of what was found, with all that the last record among them has burned."""
    end = limit
    while 0 < end < len(found) and found[end][1].lines and found[end][1] == found[end - 1][1]:
        end += 1
    return found[:end]


class _Page:
    """Collects one page within one transaction."""

    def __init__(
        self,
        transaction: ReadTransaction,
        company: CompanySnapshot,
        wanted: EntryFilter,
        after: HistoryPlace,
        now_us: int,
    ) -> None:
        self._transaction = transaction
        self._names = PartNames(transaction, company, now_us)
        self._wanted = wanted
        self._after = after
        self._now_us = now_us

    def read(self, limit: int) -> tuple[list[HistoryEvent], HistoryPlace | None]:
        """The page, and where it goes on."""
        entries, expired = self._entries(limit + 1), self._expired(limit + 1)
        lines, scanned, is_all = self._lines(limit + 1)
        until_us = FOREVER_US if is_all or scanned is None else scanned.event_time_us
        found = sorted([*entries, *expired, *lines], key=lambda each: each[0].at_us)
        page = _cut([each for each in found if each[0].at_us <= until_us], limit)
        if is_all and len(page) == len(found):
            return [event for event, _ in page], None
        place = self._after
        for _, of in page:
            place = HistoryPlace(
                max(place.entries, of.entries),
                max(place.expired, of.expired),
                of.lines or place.lines,
            )
        if sum(of.lines is not None for _, of in page) == len(lines):
            place = msgspec.structs.replace(place, lines=scanned)
        return [event for event, _ in page], place

    def _entries(self, limit: int) -> list[_Found]:
        found = self._transaction.credit_entries(self._wanted, self._after.entries, limit)
        return [
            (self._event(entry), HistoryPlace(entries=(entry.at_us, entry.number)))
            for entry in found
        ]

    def _event(self, entry: CreditEntry) -> HistoryEvent:
        parts = tuple(self._names.named(entry.feature, part) for part in entry.parts)
        record = record_id(entry.incarnation, entry.sequence) if entry.incarnation else ""
        amount = sum(part.amount for part in entry.parts)
        if entry.kind is CreditEntryKind.VOIDED:
            amount = self._voided(entry)
        return HistoryEvent(
            entry.at_us,
            _KINDS[entry.kind],
            entry.feature,
            amount,
            () if entry.kind is CreditEntryKind.GRANTED else parts,
            entry.grant,
            record,
            reason=entry.reason,
        )

    def _voided(self, entry: CreditEntry) -> int:
        """What a void has taken by now."""
        stored = self._transaction.credit_grant(entry.company, entry.grant)
        assert stored is not None, "it was voided"
        return account_of_grant(self._transaction, stored, self._now_us).voided

    def _expired(self, limit: int) -> list[_Found]:
        until_us = min(self._wanted.until_us, self._now_us + 1)
        wanted = msgspec.structs.replace(self._wanted, until_us=until_us)
        found: list[_Found] = []
        for stored in self._transaction.expired_credit_grants(wanted, self._after.expired, limit):
            account = account_of_grant(self._transaction, stored, self._now_us)
            at_us, id_ = stored.grant.expires_us, stored.grant.id
            event = HistoryEvent(
                at_us, HistoryKind.EXPIRED, stored.feature, account.expired, grant=id_
            )
            found.append((event, HistoryPlace(expired=(at_us, id_))))
        return found

    def _lines(self, limit: int) -> tuple[list[_Found], LinePosition | None, bool]:
        """Burns by records, up to where those were looked through, and whether that was all."""
        wanted = LineFilter(self._wanted.company, "", self._wanted.from_us, self._wanted.until_us)
        found: list[_Found] = []
        scanned = self._after.lines
        for _ in range(LINES_LOOKED_MAX // _LINES_AT_ONCE):
            lines = self._transaction.lines(wanted, scanned, _LINES_AT_ONCE)
            for line in lines:
                scanned = LinePosition(line.event_time_us, line.incarnation, line.sequence)
                found += [(event, HistoryPlace(lines=scanned)) for event in self._burns(line)]
                if len(found) >= limit:
                    return found, scanned, False
            if len(lines) < _LINES_AT_ONCE:
                return found, scanned, True
        return found, scanned, False

    def _burns(self, line: LedgerLine) -> list[HistoryEvent]:
        burned: dict[str, list[EntryPart]] = {}
        if not line.duplicate_of:
            for feature, part in recorded_burns(line):
                if self._wanted.feature in ("", feature):
                    burned.setdefault(feature, []).append(part)
        if burned and self._is_burned_anew(line):
            return []
        return [
            HistoryEvent(
                line.event_time_us,
                HistoryKind.BURNED,
                feature,
                sum(part.amount for part in parts),
                tuple(self._names.named(feature, part) for part in parts),
                record=record_id(line.incarnation, line.sequence),
                metered=line.feature,
                quantity=line.quantity,
            )
            for feature, parts in burned.items()
        ]

    def _is_burned_anew(self, line: LedgerLine) -> bool:
        entries = self._transaction.credit_entries_of(line.company, line.incarnation, line.sequence)
        return any(entry.kind is CreditEntryKind.BURNED_ANEW for entry in entries)
