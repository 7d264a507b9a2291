"""How much of what others count a store has heard, kept so that a restart knows it."""

from __future__ import annotations

import msgspec

from sidecar.storage import keys
from sidecar.storage.facts import read_fact, write_fact
from sidecar.storage.store import Store


class StoredCoverage(msgspec.Struct, frozen=True):
    """Up to which version of the plane's ledger everything was heard of the companies held.

    `since`: of every counter that was heard of at this version or later, no change was missed.
    `known_us`: when it was so last, in microseconds by the plane's clock; `None`: it never was.
    `ordinal`: of the incarnation that heard it.
    """

    version: int = 0
    since: int = 0
    known_us: int | None = None
    ordinal: int = 0


def read_coverage(store: Store) -> StoredCoverage:
    """What the store has heard under its present incarnation.

    What an earlier one heard is worth nothing: of a copied or restored store the plane's part for
    it has what this store never counted, which was then taken for its own.
    """
    ordinal = store.incarnation.ordinal
    kept = read_fact(store, keys.META_COVERAGE, StoredCoverage)
    return kept if kept is not None and kept.ordinal == ordinal else StoredCoverage(ordinal=ordinal)


def write_coverage(store: Store, coverage: StoredCoverage) -> None:
    """Keep what the store has heard."""
    write_fact(store, keys.META_COVERAGE, coverage)
