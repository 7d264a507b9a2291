"""Which records of a run are duplicates of earlier ones.

A record is one if its company used the same idempotency key before with the same payload, in
whatever pod. With another payload it is usage of its own: it was accepted where nobody could know,
and usage is never dropped. The first record under a key stays the one that others are compared to.

So is one that takes back all that is left of an item, of which all was taken back before, whoever
asked for that: it was held on a copied disk as well, or on one that had lost that it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import sha256
from typing import Final

from sidecar.control.rules.records import Record, Unreadable
from sidecar.control.storage.values import KeyUse, record_id

DIGEST_BYTES: Final = 16
_TAKEN_BACK: Final = "taken back "
"""Before a hash of the record that put the item in use: no request has such a key by chance."""

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
        for key, digest in _uses_of(record):
            first = known.get(key) or new.get(key)
            if first is None:
                new[key] = KeyUse(incarnation, sequence, digest)
            elif first.digest == digest:
                repeated = repeated or record_id(first.incarnation, first.sequence)
        duplicate_of.append(repeated)
    return duplicate_of, new


def keys_of(records: Iterable[Record | Unreadable]) -> set[Key]:
    """All keys by which records may repeat others."""
    return {key for record in records for key, _ in _uses_of(record)}


def _uses_of(record: Record | Unreadable) -> Iterator[tuple[Key, bytes]]:
    """Keys by which a record may repeat another, each with the digest that both then have."""
    if not isinstance(record, Record):
        return
    if record.idempotency_key:
        yield (record.company, record.idempotency_key), record.digest
    if record.ends_item:
        amount = sha256(str(record.quantity).encode()).digest()[:DIGEST_BYTES]
        origin = sha256(record.takes_back.encode()).hexdigest()
        yield (record.company, f"{_TAKEN_BACK}{origin}"), amount
