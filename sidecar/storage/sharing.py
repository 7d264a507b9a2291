"""What a store knows of how rates are shared, kept so that a restart goes on by it."""

from __future__ import annotations

import msgspec

from sidecar.storage import keys
from sidecar.storage.facts import read_fact, write_fact
from sidecar.storage.store import Store


class StoredSharing(msgspec.Struct, frozen=True):
    """How many sidecars share rates; 0 where the plane shares none.

    `starts`: how often a process began to ask for shares, which makes the numbers of its requests
    greater than those of every process before.
    """

    sidecars: int = 0
    starts: int = 0


def read_sharing(store: Store) -> StoredSharing:
    """What the store knows."""
    return read_fact(store, keys.META_RATE_SHARES, StoredSharing) or StoredSharing()


def write_sharing(store: Store, sharing: StoredSharing) -> None:
    """Keep what it knows."""
    write_fact(store, keys.META_RATE_SHARES, sharing)
