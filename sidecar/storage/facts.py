"""Facts of a store, a value under a key each: read and written in a step of their own."""

from __future__ import annotations

from typing import TypeVar

from sidecar.storage import codec
from sidecar.storage.store import Store

T = TypeVar("T")


def read_fact(store: Store, key: bytes, kind: type[T]) -> T | None:
    """What is kept under a key; `None` for nothing. Raises `StoreDamaged`."""
    data = store.transact(lambda transaction: transaction.keyspace.get(key))
    return None if data is None else codec.decode_value(data, kind)


def write_fact(store: Store, key: bytes, value: object) -> None:
    """Keep a value under a key."""
    data = codec.encode_value(value)
    store.transact(lambda transaction: transaction.keyspace.put(key, data))
