"""Which records of a run are duplicates of earlier ones.

A record is one if its company used the same idempotency key before with the same payload, in
whatever pod. With another payload it is usage of its own: it was accepted where nobody could know,
and usage is never dropped. The first record under a key stays the one that others are compared to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sidecar.control.rules.records import Record, Unreadable
from sidecar.control.storage.values import KeyUse, record_id

Key = tuple[str, str]


def find_duplicates(
    incarnation: str,
    first_sequence: int,
    records: Sequence[Record | Unreadable],
    known: Mapping[Key, KeyUse],
) -> tuple[list[str], dict[Key, KeyUse]]:
    """For each record the id of the one that it repeats, or empty; and the first uses to keep.

    One that cannot be read repeats none.
    """
    new: dict[Key, KeyUse] = {}
    duplicate_of = []
    for sequence, record in enumerate(records, start=first_sequence):
        repeated = ""
        if isinstance(record, Record) and record.idempotency_key:
            key = (record.company, record.idempotency_key)
            first = known.get(key) or new.get(key)
            if first is None:
                new[key] = KeyUse(incarnation, sequence, record.digest)
            elif first.digest == record.digest:
                repeated = record_id(first.incarnation, first.sequence)
        duplicate_of.append(repeated)
    return duplicate_of, new
