"""How much of what others count a store has heard, kept so that a restart knows it."""

from __future__ import annotations

import msgspec

from sidecar.storage import codec, keys
from sidecar.storage.store import Store


class StoredCoverage(msgspec.Struct, frozen=True):
    """Up to which version of the plane's ledger everything was heard of the companies held.

    `since`: of every counter that was heard of at this version or later, no change was missed.
    `known_us`: when it was so last, in microseconds by the plane's clock; `None`: it never was.
    """

    version: int = 0
    since: int = 0
    known_us: int | None = None


def read_coverage(store: Store) -> StoredCoverage:
    """What the store has heard."""
    data = store.transact(lambda transaction: transaction.keyspace.get(keys.META_COVERAGE))
    return StoredCoverage() if data is None else codec.decode_value(data, StoredCoverage)


def write_coverage(store: Store, coverage: StoredCoverage) -> None:
    """Keep what the store has heard."""
    data = codec.encode_value(coverage)
    store.transact(lambda transaction: transaction.keyspace.put(keys.META_COVERAGE, data))
