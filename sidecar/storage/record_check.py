"""Looking through a store, record by record, and setting aside what is damaged.

Done where a store is in doubt when it is opened: after a loss of power, where damage was met, or
where its owners ended one after another. Records in the outbox are left to the outbox, which holds
each against its chain before it is sent.

Every kind of record has its reader here. Whoever adds a kind, adds its reader: a record that nobody
can read must be found here, or it ends the process that meets it, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import structlog

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.seats.model import SeatRequest
from sidecar.domain.time.sure import KnownTime
from sidecar.storage import codec, keys, snapshot_codec
from sidecar.storage.answer_codec import Partitions, decode_answer
from sidecar.storage.bounded_scan import next_start
from sidecar.storage.bucket_codec import decode_bucket, over_of
from sidecar.storage.coverage import StoredCoverage
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import name_in
from sidecar.storage.key_check import require_key
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.lease_entry import read_lease
from sidecar.storage.lease_terms import LeaseTerms
from sidecar.storage.level_items import read_item
from sidecar.storage.new_life import NewLife, live_on, write_new_life
from sidecar.storage.quarantine import quarantined, set_aside
from sidecar.storage.seats import SeatPosition, StoredPool, StoredSeat
from sidecar.storage.sharing import StoredSharing
from sidecar.storage.snapshot_codec import CatalogHead
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.watch_position import Staged, decode_position

_KEYS_AT_ONCE: Final = 500
_BEHIND: Final = 2
"""Keys behind the last that is read, by which it is seen whether that one is in its place."""

log = structlog.get_logger(__name__)

_Read = Callable[[bytes, bytes], object]
"""Reads a record, by its key and its bytes; raises `StoreDamaged`."""


def _position(_: bytes, data: bytes) -> object:
    return decode_position(data)


def _counter(key: bytes, data: bytes) -> object:
    require_key(key, data)
    return codec.decode_counter(data, 0)


def _tally(key: bytes, data: bytes) -> object:
    return keys.feature_of(key), codec.decode_tally(data)


def _snapshot(key: bytes, data: bytes) -> object:
    return keys.company_of(key), snapshot_codec.decode_snapshot(data)


def _staged(key: bytes, data: bytes) -> object:
    return _snapshot(key, data) if data else keys.company_of(key)


def _absent(key: bytes, data: bytes) -> object:
    return keys.company_of(key), codec.decode_value(data, int)


def _name(key: bytes, data: bytes) -> object:
    return keys.company_of(key), codec.decode_value(data, str)


FACTS: Final[Mapping[bytes, _Read]] = {
    keys.META_CATALOG: lambda _, data: snapshot_codec.decode_catalog_head(data),
    keys.META_POSITION: _position,
    keys.META_CONTACT: lambda _, data: codec.decode_value(data, int),
    keys.META_ANSWERS: lambda _, data: codec.decode_value(data, Partitions),
    keys.META_COVERAGE: lambda _, data: codec.decode_value(data, StoredCoverage),
    keys.META_TIME: lambda _, data: codec.decode_value(data, KnownTime),
    keys.META_RATE_SHARES: lambda _, data: codec.decode_value(data, StoredSharing),
    keys.META_STAGED: lambda _, data: codec.decode_value(data, Staged),
    keys.META_LEASES: lambda _, data: codec.decode_value(data, dict[str, int]),
    keys.META_SEATS: lambda _, data: codec.decode_value(data, SeatPosition),
    keys.META_LEASE_TERMS: lambda _, data: codec.decode_value(data, LeaseTerms),
}
_KINDS: Final[Mapping[bytes, _Read]] = {
    keys.COUNTERS: _counter,
    keys.LEVEL_ITEMS: read_item,
    keys.EXPIRIES: lambda key, _: keys.expires_us_of(key),
    keys.BUCKETS: lambda _, data: (decode_bucket(data, 0), over_of(data)),
    keys.ANSWERS: lambda _, data: decode_answer(data, {}),
    keys.UNPARTITIONED_ANSWERS: lambda _, data: decode_answer(data, {}),
    keys.LEASES: lambda key, data: (keys.ordinal_of_lease(key), read_lease(key, data)),
    keys.META_NAME: lambda key, data: (keys.ordinal_of_name(key), name_in(data)),
    keys.META_TALLY: _tally,
    keys.ABSENT: _absent,
    keys.COMPANY_NAMES: _name,
    keys.CATALOG_PARTS: lambda _, data: codec.decode_value(data, Catalog),
    keys.SEAT_POOLS: lambda _, data: codec.decode_value(data, StoredPool),
    keys.SEATS: lambda _, data: codec.decode_value(data, StoredSeat),
    keys.UNTOLD_SEATS: lambda _, data: codec.decode_value(data, SeatRequest),
    keys.SNAPSHOTS: _snapshot,
    keys.STAGED: _staged,
}
_FOLLOWED: Final = (keys.CATALOG_PARTS, keys.COMPANY_NAMES, keys.SNAPSHOTS, keys.STAGED)
_FOLLOWED_FACTS: Final = (keys.META_CATALOG, keys.META_POSITION, keys.META_STAGED)
"""What comes from the control plane: where some of it is missing, it is followed from the start."""


_COUNTED: Final = (keys.COUNTERS, keys.LEASES)
_COUNTED_FACTS: Final = (keys.META_LEASES,)
"""What says how much this incarnation counted itself, and may count still: where some of it is
missing, another one begins, with nothing counted and nothing leased."""


class _Looked(NamedTuple):
    """Where to look on, what was set aside, and the life that begins with that, if one does."""

    start: bytes
    damaged: int
    life: NewLife | None


def set_damaged_aside(store: Store, new_incarnation: Callable[[], str]) -> Mapping[str, int]:
    """Look through all of a store but its outbox; what is in quarantine then, by kind."""
    start, found, incarnation_id = b"", 0, new_incarnation()
    while start < keys.OUTBOX:
        looked = store.transact(_step_from(store, start, incarnation_id))
        start, found = looked.start, found + looked.damaged
        if looked.life is not None:
            live_on(store, looked.life)
            incarnation_id = ""
    found += store.transact(lambda transaction: _check_catalog(store.engine, transaction.keyspace))
    counts = store.transact(lambda transaction: quarantined(transaction.keyspace))
    if found:
        log.error("store.records_set_aside", records=found, in_quarantine=dict(counts))
    return counts


def _step_from(store: Store, start: bytes, life: str) -> Callable[[Transaction], _Looked]:
    """`life`: id of the next incarnation; empty once that has begun."""

    def step(transaction: Transaction) -> _Looked:
        kv, begun = transaction.keyspace, None
        pairs = store.engine.scan(kv, start, keys.OUTBOX, _KEYS_AT_ONCE)
        # What is astray may have ended the scan, or stand where the rest is not searched for.
        astray = store.engine.take_astray(kv, start, len(pairs) + _BEHIND)
        if astray:
            for key, data in astray:
                set_aside(kv, key, data, "a key that is not in order")
            kv.delete(keys.META_POSITION)  # whatever it was a key of
            begun = write_new_life(store, transaction, life) if life else None
            return _Looked(start, len(astray), begun)
        problems = [(key, data, _problem_of(key, data)) for key, data in pairs]
        damaged = [(key, data, problem) for key, data, problem in problems if problem]
        for key, data, problem in damaged:
            set_aside(kv, key, data, problem)
            if key[:1] in _FOLLOWED or key in _FOLLOWED_FACTS:
                kv.delete(keys.META_POSITION)
        if life and any(key[:1] in _COUNTED or key in _COUNTED_FACTS for key, _, _ in damaged):
            begun = write_new_life(store, transaction, life)
        more = len(pairs) == _KEYS_AT_ONCE
        return _Looked(next_start(start, pairs) if more else keys.OUTBOX, len(damaged), begun)

    return step


def _problem_of(key: bytes, data: bytes) -> str:
    """What is wrong with a record; empty for one that is well, or of a kind that is not known."""
    read = FACTS.get(key)
    if read is None:
        read = next((_KINDS[kind] for kind in _KINDS if key.startswith(kind)), None)
    if read is None:
        return ""
    try:
        read(key, data)
    except StoreDamaged as error:
        return str(error)
    return ""


def _check_catalog(engine: KvEngine, kv: KvTransaction) -> int:
    """Drop a catalog that lacks a part: it is fetched again."""
    data = kv.get(keys.META_CATALOG)
    if data is None:
        return 0
    problem = ""
    head = snapshot_codec.decode_catalog_head(data)
    if head.parts:
        problem = _problem_of_parts(engine, kv, head)
    else:
        try:
            codec.decode_value(data, CatalogSnapshot)
        except StoreDamaged as error:
            problem = str(error)
    if not problem:
        return 0
    set_aside(kv, keys.META_CATALOG, data, problem)
    kv.delete(keys.META_POSITION)
    return 1


def _problem_of_parts(engine: KvEngine, kv: KvTransaction, head: CatalogHead) -> str:
    if not 0 < head.generation < (1 << 32) - 1:
        return "a catalog of no generation"
    start = keys.catalog_part_key(head.generation, 0)
    stop = keys.catalog_part_key(head.generation + 1, 0)
    found = len(engine.scan(kv, start, stop, head.parts + 1)) if head.parts > 0 else -1
    return "" if found == head.parts else f"a catalog with {found} of {head.parts} parts"
