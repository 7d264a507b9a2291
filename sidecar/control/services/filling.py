"""Fills counters of limits that are new to a company: the running window, from the ledger.

A filling goes through the company's lines in the order of their events, a few at a time, and sums
them up by counter; then each counter is given what it lacks of its sum, by the plane's own part. So
it does not matter on which counters a line was counted before, or how often a filling is begun.
What arrives meanwhile is in the sum once its place has been passed (`Arrivals`), and what arrives
later is put on the counter where its sidecar did not: one that does not know of the limit yet.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Final
from uuid import UUID

from msgspec.structs import replace

from sidecar.control.rules.filling import FilledCounters, NewLimit, slot_text
from sidecar.control.rules.records import Record, read_attributes
from sidecar.control.services.close_windows import follow
from sidecar.control.storage.filling_values import Filling, FillingStage
from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.values import (
    CORRECTIONS,
    CounterKey,
    LedgerLine,
    LineFilter,
    LinePosition,
)
from sidecar.domain.company.model import CompanySnapshot
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.time.company_windows import company_window

FILLINGS: Final = 10
"""Fillings that one step goes on with, at the most."""
LINES: Final = 500
"""Lines and counters that one step goes through, at the most."""
FORGET_MAX: Final = 500

_START: Final = ("", "", "")


class Filler:
    """Goes on with fillings in turn, so that a large company holds up no other.

    Not for threads side by side.
    """

    def __init__(self) -> None:
        self._after = _START

    def step(self, store: PlaneStore, now_us: int) -> list[CounterKey]:
        """Go on with some fillings; returns the counters to which something was added."""
        with store.write() as transaction:
            found = transaction.unfinished_fillings(self._after, FILLINGS)
            step = _Step(transaction)
            for filling in found:
                step.go_on(filling, LINES // len(found))
            added = step.add(now_us)
        last = found[-1] if len(found) == FILLINGS else None
        self._after = _START if last is None else (last.company, last.feature, last.slot)
        return added


def any_unfinished(store: PlaneStore) -> bool:
    """Whether there is something to fill."""
    with store.read() as transaction:
        return bool(transaction.unfinished_fillings(_START, 1))


def forget_filled(store: PlaneStore, now_us: int) -> bool:
    """Forget fillings that no late usage can reach any more; whether there may be more of them."""
    with store.write() as transaction:
        return transaction.forget_fillings(now_us, FORGET_MAX) == FORGET_MAX


def begin(
    transaction: WriteTransaction, snapshot: CompanySnapshot, new: NewLimit, now_us: int
) -> bool:
    """Begin to fill what a limit counts, from the window on in which it is new.

    Returns whether there is anything to do: what is being filled, or was, stays filled.
    """
    counted_by, slot = new.counted_by, slot_text(new.counted_by)
    held = transaction.fillings_of(snapshot.company, counted_by.feature)
    before = next((filling for filling in held if filling.slot == slot), None)
    from_us = company_window(snapshot.phases, counted_by.window, new.from_us).start_us
    keep_until_us = max(now_us, new.from_us) + HISTORY_US
    if before is not None and before.from_us <= from_us:
        if before.keep_until_us < keep_until_us:
            transaction.put_filling(replace(before, keep_until_us=keep_until_us))
        return False
    transaction.put_filling(Filling(snapshot.company, slot, counted_by, from_us, keep_until_us))
    return True


class Arrivals:
    """Puts usage that arrives on counters that are filled, within one transaction."""

    def __init__(self, transaction: WriteTransaction, incarnation: str) -> None:
        self._transaction = transaction
        self._incarnation = str(UUID(incarnation))
        self._any = transaction.any_filling()
        self._fillings: dict[tuple[str, str], list[Filling]] = {}
        self._counters: dict[Filling, FilledCounters | None] = {}
        self._sums: dict[Filling, dict[CounterKey, int]] = {}

    def with_filled(
        self,
        belongs: tuple[CounterKey, ...] | None,
        record: Record,
        sequence: int,
        data: bytes,
    ) -> tuple[CounterKey, ...] | None:
        """The counters that a record belongs on, with those that are filled.

        `belongs`: without them; `None` while its company or feature is unknown.
        """
        if not self._any or belongs is None:
            return belongs
        place = LinePosition(record.event_time_us, self._incarnation, sequence)
        for filling in self._fillings_of(record.company, record.feature):
            if filling.stage is FillingStage.CLEARING:
                continue
            if filling.stage is FillingStage.SUMMING and _is_ahead(filling, place):
                continue
            counters = self._counters_of(filling)
            if counters is None:
                continue
            key = counters.of(record.event_time_us, partial(_dimensions, data))
            if key is None:
                continue
            if self._is_summed(filling, key):
                sums = self._sums.setdefault(filling, defaultdict(int))
                sums[key] += record.quantity
            elif key not in belongs:
                belongs = (*belongs, key)
        return belongs

    def keep(self) -> None:
        """Write what was summed."""
        for filling, sums in self._sums.items():
            self._transaction.add_to_filling_sums(filling, sums)

    def _is_summed(self, filling: Filling, key: CounterKey) -> bool:
        """Whether a counter is given what it lacks of its sum later."""
        if filling.stage is FillingStage.ADDING:
            return self._transaction.filling_has_sum(filling, key)
        return filling.stage is FillingStage.SUMMING

    def _fillings_of(self, company: str, feature: str) -> list[Filling]:
        found = self._fillings.get((company, feature))
        if found is None:
            found = self._transaction.fillings_of(company, feature)
            self._fillings[company, feature] = found
        return found

    def _counters_of(self, filling: Filling) -> FilledCounters | None:
        if filling not in self._counters:
            snapshot = timeline_of(self._transaction, filling.company)
            self._counters[filling] = (
                None if snapshot is None else FilledCounters(filling, snapshot)
            )
        return self._counters[filling]


def timeline_of(transaction: ReadTransaction, company: str) -> CompanySnapshot | None:
    """A company's timeline, also of one that was removed; `None` for one that never was."""
    found = transaction.snapshots([company]).get(company)
    if found is None and (gone := transaction.tombstones([company]).get(company)) is not None:
        return gone.snapshot
    return found


class _Step:
    """Goes on with fillings within one transaction."""

    def __init__(self, transaction: WriteTransaction) -> None:
        self._transaction = transaction
        self._lacking: dict[CounterKey, int] = defaultdict(int)

    def go_on(self, filling: Filling, room: int) -> None:
        """Go through at most so many lines or counters of a filling."""
        while room > 0 and filling.stage is not FillingStage.FILLED:
            if filling.stage is FillingStage.SUMMING:
                filling, done = self._sum(filling, room)
                room -= done
                continue
            sums = self._transaction.filling_sums(filling, room)
            if not sums:
                filling = replace(filling, stage=FillingStage(filling.stage + 1))
                continue
            if filling.stage is FillingStage.ADDING:
                self._compare(sums)
            self._transaction.drop_filling_sums(filling, (key for key, _ in sums))
            room -= len(sums)
        self._transaction.put_filling(filling)

    def add(self, now_us: int) -> list[CounterKey]:
        """Add what counters lack, and carry on what that changes; returns the counters."""
        lacking = {key: amount for key, amount in self._lacking.items() if amount}
        if not lacking:
            return []
        version = self._transaction.next_ledger_version(now_us)
        self._transaction.add_to_counters(CORRECTIONS, lacking, version)
        totals = self._transaction.totals(lacking, CORRECTIONS)
        return [*lacking, *follow(self._transaction, totals, now_us)]

    def _sum(self, filling: Filling, room: int) -> tuple[Filling, int]:
        wanted = LineFilter(filling.company, from_us=filling.from_us)
        lines = self._transaction.lines(wanted, filling.reached, room)
        snapshot = timeline_of(self._transaction, filling.company)
        counters = None if snapshot is None else FilledCounters(filling, snapshot)
        sums: dict[CounterKey, int] = defaultdict(int)
        for line in lines:
            if counters is None or line.feature != filling.feature or _is_nowhere(line):
                continue
            key = counters.of(line.event_time_us, partial(_dimensions, line.record))
            if key is not None:
                sums[key] += line.quantity
        self._transaction.add_to_filling_sums(filling, sums)
        if len(lines) < room:
            return replace(filling, stage=FillingStage.ADDING, reached=None), len(lines)
        last = lines[-1]
        place = LinePosition(last.event_time_us, last.incarnation, last.sequence)
        return replace(filling, reached=place), len(lines)

    def _compare(self, sums: list[tuple[CounterKey, int]]) -> None:
        keys = [key for key, _ in sums]
        for total, (key, amount) in zip(
            self._transaction.totals(keys, CORRECTIONS), sums, strict=True
        ):
            # Never less than sidecars have counted: a favour takes nothing away.
            self._lacking[key] = max(0, amount - total.total)


def _is_ahead(filling: Filling, place: LinePosition) -> bool:
    """Whether a line will still be gone through."""
    return filling.reached is None or place > filling.reached


def _is_nowhere(line: LedgerLine) -> bool:
    """Whether a line belongs on no counter at all."""
    return bool(line.duplicate_of) or line.unattributed


def _dimensions(data: bytes) -> Mapping[str, str]:
    message = read_attributes(data)
    return {} if message is None else dict(message.dimensions)
