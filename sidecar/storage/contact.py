"""When the control plane was last heard, kept so that a restart knows how old its knowledge is."""

from __future__ import annotations

from sidecar.storage import codec, keys
from sidecar.storage.store import Store


def read_contact(store: Store) -> int | None:
    """When the plane was last heard, in microseconds by its clock; `None` if it never was."""
    data = store.transact(lambda transaction: transaction.keyspace.get(keys.META_CONTACT))
    return None if data is None else codec.decode_value(data, int)


def write_contact(store: Store, heard_us: int) -> None:
    """Keep when the plane was last heard."""
    data = codec.encode_value(heard_us)
    store.transact(lambda transaction: transaction.keyspace.put(keys.META_CONTACT, data))
