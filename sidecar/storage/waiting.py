"""Reading what waits in the outbox of an incarnation, in the order in which it was written.

A damaged key stands where it does not belong, and LMDB, which searches a page by halves, then finds
nothing behind it, or begins in the wrong place. So where the first that is found is not the next
one, what is out of order is put where it belongs, or set aside; and all that stands there is looked
at, pair by pair, whatever the order. What comes from here only
ever grows, so that who goes on from it comes to an end.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Final, TypeAlias

from sidecar.storage import keys
from sidecar.storage.bounded_scan import STEP_BYTES, scan_bounded
from sidecar.storage.codec import Incarnation
from sidecar.storage.incarnations import INCARNATIONS_MAX
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.outbox_entry import chain_in, record_in
from sidecar.storage.quarantine import set_aside

_LOOKED_AT: Final = 256
"""Pairs that are looked at one by one where the order is broken; a page holds fewer."""

Pair: TypeAlias = tuple[bytes, bytes]


def waiting_pairs(
    engine: KvEngine,
    kv: KvTransaction,
    incarnation: Incarnation,
    after: int,
    records_max: int,
    bytes_max: int = STEP_BYTES,
) -> list[Pair]:
    """Entries of an incarnation behind a sequence, as many as fit the bounds but at least one.

    None only where none can be found.
    """
    start = keys.outbox_key(incarnation.ordinal, after + 1)
    stop = keys.outbox_key(incarnation.ordinal + 1, 0)
    found = _ascending(scan_bounded(engine, kv, start, stop, records_max, bytes_max), start)
    if found and found[0][0] == start:
        return found
    is_next = after == incarnation.acknowledged_sequence
    if is_next and _put_in_order(engine, kv, incarnation):
        found = _ascending(scan_bounded(engine, kv, start, stop, records_max, bytes_max), start)
        if found and found[0][0] == start:
            return found
    astray = engine.scan(kv, keys.OUTBOX, keys.after(keys.OUTBOX), _LOOKED_AT)
    astray += engine.scan(kv, start, keys.after(keys.OUTBOX), _LOOKED_AT)
    missed = sorted({key: entry for key, entry in astray if start <= key < stop}.items())
    if not missed or (found and found[0][0] <= missed[0][0]):
        return found
    return _within(missed, records_max, bytes_max)


def _put_in_order(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> bool:
    """Put entries whose keys are out of order where they belong; whether there were some.

    A damaged key is told by the chain: its record may be the next one. Else its entry is set aside;
    it is counted as missing where it was.
    """
    first = keys.outbox_key(incarnation.ordinal, 0)
    stop = keys.outbox_key(incarnation.ordinal + INCARNATIONS_MAX, 0)
    taken = engine.take_astray(kv, keys.OUTBOX, _LOOKED_AT)
    for key, entry in taken:
        chain = sha256(incarnation.acknowledged_chain + record_in(entry)).digest()
        following = incarnation.acknowledged_sequence + 1
        if chain == chain_in(entry):
            kv.put(keys.outbox_key(incarnation.ordinal, following), entry)
        elif first <= key < stop and len(key) == len(first):
            kv.put(key, entry)
        else:
            set_aside(kv, key, entry, "a key that is not in order", is_counted=False)
    return bool(taken)


def _ascending(pairs: list[Pair], start: bytes) -> list[Pair]:
    """Pairs up to the first whose key does not come behind the one before."""
    for at, (key, _) in enumerate(pairs):
        if key < start:
            return pairs[:at]
        start = key + b"\0"
    return pairs


def _within(pairs: list[Pair], records_max: int, bytes_max: int) -> list[Pair]:
    size = 0
    for at, (_, entry) in enumerate(pairs[:records_max]):
        size += len(entry)
        if at and size > bytes_max:
            return pairs[:at]
    return pairs[:records_max]


def entry_behind(engine: KvEngine, kv: KvTransaction, key: bytes) -> bytes | None:
    """The entry that stands behind one, of the same incarnation."""
    stop = keys.outbox_key(keys.ordinal_of(key) + 1, 0)
    found = engine.scan(kv, key + b"\0", stop, 1)
    return found[0][1] if found else None
