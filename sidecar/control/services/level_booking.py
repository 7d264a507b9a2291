"""Books changes of levels by the time of their events, which is what they are billed by.

A record that was a duplicate counts nothing, and so does what takes back the item that it put in
use: the item is there twice, at two sidecars, and was counted once.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from uuid import UUID

from sidecar.control.rules.records import Record, Unreadable
from sidecar.control.storage.level_port import LevelInstant
from sidecar.control.storage.port import ReadTransaction, WriteTransaction
from sidecar.control.storage.values import record_id
from sidecar.domain.bounds import INT64_MAX


def book_levels(
    transaction: WriteTransaction,
    incarnation: str,
    first_sequence: int,
    records: Sequence[Record | Unreadable],
    duplicate_of: Sequence[str],
) -> list[str]:
    """Book what of new records changes levels; for each record which one it repeats, or empty.

    `duplicate_of`: the same, by keys alone.
    """
    incarnation = str(UUID(incarnation))
    of_this_run: dict[str, str] = {}
    changes: dict[LevelInstant, int] = defaultdict(int)
    told: list[str] = []
    for sequence, (record, repeated) in enumerate(
        zip(records, duplicate_of, strict=True), start=first_sequence
    ):
        first = repeated
        if isinstance(record, Record) and record.is_level:
            first = repeated or _first_of(transaction, record, of_this_run)
            of_this_run[record_id(incarnation, sequence)] = first
            if not first:
                instant = LevelInstant(record.company, record.feature, record.event_time_us)
                changes[instant] += record.quantity
        told.append(first)
    transaction.add_level_changes(changes)
    return told


def _first_of(transaction: ReadTransaction, record: Record, of_this_run: Mapping[str, str]) -> str:
    """Id of the record that was counted instead of the one that a record takes back; or empty."""
    origin = record.takes_back
    if not origin or origin in of_this_run:
        return of_this_run.get(origin, "")
    incarnation, _, sequence = origin.rpartition("-")
    try:
        UUID(incarnation)
        number = int(sequence)
    except ValueError:
        return ""  # no id that a record could have
    if not 0 < number <= INT64_MAX:
        return ""
    return transaction.repeated_by(record.company, record.takes_back_of_us, incarnation, number)
