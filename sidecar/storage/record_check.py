"""Looking through a store, record by record, and setting aside what is damaged.

Done where a store is in doubt when it is opened: after a loss of power, where damage was met, or
where its owners ended one after another. Records in the outbox are left to the outbox, which holds
each against its chain before it is sent.

Every kind of record has its reader here. Whoever adds a kind, adds its reader: a record that nobody
can read must be found here, or it ends the process that meets it, again and again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import structlog

from sidecar.domain.catalog.model import Catalog, CatalogSnapshot
from sidecar.domain.time.sure import KnownTime
from sidecar.storage import codec, keys
from sidecar.storage.answer_codec import Partitions, decode_answer
from sidecar.storage.bounded_scan import next_start
from sidecar.storage.codec import CatalogHead
from sidecar.storage.coverage import StoredCoverage
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import name_in
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.quarantine import quarantined, set_aside
from sidecar.storage.snapshots import Staged, WatchPosition
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

_KEYS_AT_ONCE: Final = 500

log = structlog.get_logger(__name__)

_Read = Callable[[bytes, bytes], object]
"""Reads a record, by its key and its bytes; raises `StoreDamaged`."""


def _position(_: bytes, data: bytes) -> object:
    return codec.decode_value(data, WatchPosition)


def _tally(key: bytes, data: bytes) -> object:
    return keys.feature_of(key), codec.decode_tally(data)


def _snapshot(key: bytes, data: bytes) -> object:
    return keys.company_of(key), codec.decode_snapshot(data)


def _staged(key: bytes, data: bytes) -> object:
    return _snapshot(key, data) if data else keys.company_of(key)


def _absent(key: bytes, data: bytes) -> object:
    return keys.company_of(key), codec.decode_value(data, int)


def _name(key: bytes, data: bytes) -> object:
    return keys.company_of(key), codec.decode_value(data, str)


FACTS: Final[Mapping[bytes, _Read]] = {
    keys.META_CATALOG: lambda _, data: codec.decode_catalog_head(data),
    keys.META_POSITION: _position,
    keys.META_CONTACT: lambda _, data: codec.decode_value(data, int),
    keys.META_ANSWERS: lambda _, data: codec.decode_value(data, Partitions),
    keys.META_COVERAGE: lambda _, data: codec.decode_value(data, StoredCoverage),
    keys.META_TIME: lambda _, data: codec.decode_value(data, KnownTime),
    keys.META_STAGED: lambda _, data: codec.decode_value(data, Staged),
}
_KINDS: Final[Mapping[bytes, _Read]] = {
    keys.COUNTERS: lambda _, data: codec.decode_counter(data, 0),
    keys.BUCKETS: lambda _, data: (codec.decode_bucket(data), codec.over_of(data)),
    keys.ANSWERS: lambda _, data: decode_answer(data, {}),
    keys.UNPARTITIONED_ANSWERS: lambda _, data: decode_answer(data, {}),
    keys.META_NAME: lambda key, data: (keys.ordinal_of_name(key), name_in(data)),
    keys.META_TALLY: _tally,
    keys.ABSENT: _absent,
    keys.COMPANY_NAMES: _name,
    keys.CATALOG_PARTS: lambda _, data: codec.decode_value(data, Catalog),
    keys.SNAPSHOTS: _snapshot,
    keys.STAGED: _staged,
}
_FOLLOWED: Final = (keys.CATALOG_PARTS, keys.COMPANY_NAMES, keys.SNAPSHOTS, keys.STAGED)
_FOLLOWED_FACTS: Final = (keys.META_CATALOG, keys.META_POSITION, keys.META_STAGED)
"""What comes from the control plane: where some of it is missing, it is followed from the start."""


def set_damaged_aside(store: Store) -> Mapping[str, int]:
    """Look through all of a store but its outbox; what is in quarantine then, by kind."""
    start = b""
    found = 0
    while start < keys.OUTBOX:
        step = _step_from(store.engine, start)
        start, damaged = store.transact(step)
        found += damaged
    found += store.transact(lambda transaction: _check_catalog(store.engine, transaction.keyspace))
    counts = store.transact(lambda transaction: quarantined(transaction.keyspace))
    if found:
        log.error("store.records_set_aside", records=found, in_quarantine=dict(counts))
    return counts


def _step_from(engine: KvEngine, start: bytes) -> Callable[[Transaction], tuple[bytes, int]]:
    def step(transaction: Transaction) -> tuple[bytes, int]:
        kv = transaction.keyspace
        pairs = engine.scan(kv, start, keys.OUTBOX, _KEYS_AT_ONCE)
        problems = [(key, data, _problem_of(key, data)) for key, data in pairs]
        damaged = [(key, data, problem) for key, data, problem in problems if problem]
        for key, data, problem in damaged:
            set_aside(kv, key, data, problem)
            if key[:1] in _FOLLOWED or key in _FOLLOWED_FACTS:
                kv.delete(keys.META_POSITION)
        more = len(pairs) == _KEYS_AT_ONCE
        return (next_start(start, pairs) if more else keys.OUTBOX), len(damaged)

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
    head = codec.decode_catalog_head(data)
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
