"""Companies that the control plane does not have, kept for a restart without network.

Each with the revision of the plane that was applied when it said so. A company that arrives is
taken from among them in the step that writes its snapshot (`Snapshots`).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Final

from sidecar.storage import codec, keys
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_READ_AT_ONCE: Final = 1_000


def read_absent(store: Store) -> dict[str, int]:
    """The companies and their revisions, in the order of their ids; read at once, for a start."""
    found: dict[str, int] = {}
    start, stop = keys.ABSENT, keys.after(keys.ABSENT)
    while True:
        page = store.transact(partial(_page, store.engine, start, stop))
        found.update((keys.company_of(key), codec.decode_value(data, int)) for key, data in page)
        if len(page) < _READ_AT_ONCE:
            return found
        start = page[-1][0] + b"\0"


def note_absent(store: Store, absent: Iterable[str], revision: int, gone: Iterable[str]) -> None:
    """Keep companies that are absent, and no longer those that are `gone` from among them.

    Raises `Exhausted` or `Unavailable` where nothing can be written.
    """
    data = codec.encode_value(revision)

    def work(transaction: Transaction) -> None:
        for company in absent:
            transaction.keyspace.put(keys.absent_key(company), data)
        for company in gone:
            transaction.keyspace.delete(keys.absent_key(company))

    store.transact(work)


def _page(
    engine: KvEngine, start: bytes, stop: bytes, transaction: Transaction
) -> list[tuple[bytes, bytes]]:
    return engine.scan(transaction.keyspace, start, stop, _READ_AT_ONCE)
