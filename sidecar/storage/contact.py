"""When the control plane was last heard, and what is known of the time, kept for a restart.

So it knows how old its knowledge is, and notices a clock that was set meanwhile.
"""

from __future__ import annotations

from sidecar.domain.time.sure import KnownTime
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


def read_time(store: Store) -> KnownTime | None:
    """What was known of the time; `None` for a new store, one of a version before, or nonsense."""
    data = store.transact(lambda transaction: transaction.keyspace.get(keys.META_TIME))
    known = None if data is None else codec.decode_value(data, KnownTime)
    return known if known is not None and known.is_possible else None


def write_time(store: Store, known: KnownTime) -> None:
    """Keep what is known of the time."""
    data = codec.encode_value(known)
    store.transact(lambda transaction: transaction.keyspace.put(keys.META_TIME, data))
