"""Which source a part of a burn or a refund concerns, and what of a record has burned."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from sidecar.control.rules.records import read_attributes
from sidecar.control.services.attribution import load_index
from sidecar.control.storage.credit_values import CreditEntry, CreditEntryKind, EntryPart
from sidecar.control.storage.port import ReadTransaction
from sidecar.control.storage.values import LedgerLine
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import segment_at
from sidecar.domain.credits.source_slots import OVERDRAFT_SLOT, grant_in
from sidecar.domain.credits.sources import sources_at
from sidecar.domain.errors import InvalidInput
from sidecar.domain.limits.counters import CounterRef
from sidecar.shared.convert.counters import counter_from_message


class NamedPart(msgspec.Struct, frozen=True):
    """A part, and what people call its source: a grant, a limit, or what is owed.

    `limit`: its slot where no limit is known by it any more.
    """

    part: EntryPart
    grant: str = ""
    limit: str = ""
    is_overdraft: bool = False


class PartNames:
    """Names parts of a company's burns, within one transaction."""

    def __init__(self, transaction: ReadTransaction, company: CompanySnapshot, now_us: int) -> None:
        self._index = load_index(transaction)
        self._company = company
        self._now_us = now_us
        self._limits: dict[tuple[str, CounterRef], str] = {}

    def named(self, feature: str, part: EntryPart) -> NamedPart:
        """A part with the name of its source."""
        slot = part.counter.slot
        if slot == OVERDRAFT_SLOT:
            return NamedPart(part, is_overdraft=True)
        grant = grant_in(slot)
        if grant is not None:
            return NamedPart(part, grant=grant)
        return NamedPart(part, limit=self._limit(feature, part.counter))

    def _limit(self, feature: str, counter: CounterRef) -> str:
        key = feature, counter
        if key not in self._limits:
            self._limits[key] = self._found_limit(feature, counter) or counter.slot
        return self._limits[key]

    def _found_limit(self, feature: str, counter: CounterRef) -> str:
        at_us = self._now_us if counter.window.never_ends else counter.window.end_us - 1
        segment = segment_at(self._company, at_us)
        entitlement = self._index.resolve(segment, feature)
        if entitlement is None:
            return ""
        found = sources_at(self._company, segment, entitlement, at_us).sources
        ids = (source.limit.id for source in found if source.counter.slot == counter.slot)
        return next(ids, "")


def burned_by(line: LedgerLine, entries: Iterable[CreditEntry]) -> dict[str, list[EntryPart]]:
    """What a record has burned, by feature and in burn order. `entries`: all about the record.

    Nothing of a duplicate. What the plane burned of it comes behind what its sidecar did, or is in
    place of that.
    """
    burned: dict[str, list[EntryPart]] = {}
    if line.duplicate_of:
        return burned
    entries = list(entries)
    if not any(entry.kind is CreditEntryKind.BURNED_ANEW for entry in entries):
        for feature, part in recorded_burns(line):
            burned.setdefault(feature, []).append(part)
    for entry in entries:
        if entry.kind in (CreditEntryKind.BURNED, CreditEntryKind.BURNED_ANEW):
            burned.setdefault(entry.feature, []).extend(entry.parts)
    return burned


def recorded_burns(line: LedgerLine) -> list[tuple[str, EntryPart]]:
    """The parts that a record names, each with its feature; none of one that is damaged."""
    message = read_attributes(line.record)
    if message is None:
        return []
    try:
        return [
            (burn.feature, EntryPart(counter_from_message(burn.counter, "counter"), burn.amount))
            for burn in message.burns
        ]
    except InvalidInput:
        return []
