"""When the control plane was last heard, and what is known of the time, kept for a restart.

So it knows how old its knowledge is, and notices a clock that was set meanwhile.
"""

from __future__ import annotations

from sidecar.domain.time.sure import KnownTime
from sidecar.storage import keys
from sidecar.storage.facts import read_fact, write_fact
from sidecar.storage.store import Store


def read_contact(store: Store) -> int | None:
    """When the plane was last heard, in microseconds by its clock; `None` if it never was."""
    return read_fact(store, keys.META_CONTACT, int)


def write_contact(store: Store, heard_us: int) -> None:
    """Keep when the plane was last heard."""
    write_fact(store, keys.META_CONTACT, heard_us)


def read_time(store: Store) -> KnownTime | None:
    """What was known of the time; `None` for a new store, one of a version before, or nonsense."""
    known = read_fact(store, keys.META_TIME, KnownTime)
    return known if known is not None and known.is_possible else None


def write_time(store: Store, known: KnownTime) -> None:
    """Keep what is known of the time."""
    write_fact(store, keys.META_TIME, known)
