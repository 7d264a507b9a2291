"""Quarantine: what was damaged in the store and could be taken out of it; kept for a look.

The bytes stay under keys of their own, bounded in number and in size. Beyond that they are counted
alone. What was taken out is missing from then on; what that means is for each kind another thing:
snapshots and the catalog are fetched again, an answer for retries is not given again, a counter
begins anew with what the plane tells of it, and a usage record is lost to the ledger.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.storage import codec, keys
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvTransaction

KEPT_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 4 << 20

USAGE_RECORD: Final = "usage record"
_KINDS: Final = {
    keys.COUNTERS: "counter",
    keys.BUCKETS: "bucket of a rate",
    keys.ANSWERS: "stored answer",
    keys.UNPARTITIONED_ANSWERS: "stored answer",
    keys.META: "fact of the store",
    keys.CATALOG_PARTS: "part of the catalog",
    keys.SNAPSHOTS: "snapshot of a company",
    keys.STAGED: "snapshot of a company",
    keys.OUTBOX: USAGE_RECORD,
}
_UNKNOWN: Final = "unknown"


class _Ledger(msgspec.Struct, frozen=True):
    """What was set aside so far: how many of each kind, and what of it is kept."""

    counts: dict[str, int] = {}
    kept: int = 0
    kept_bytes: int = 0


class _Item(msgspec.Struct, frozen=True):
    """Something that was set aside: where it was, its bytes, and what was wrong."""

    key: bytes
    data: bytes
    problem: str


def set_aside(kv: KvTransaction, key: bytes, data: bytes, problem: str) -> None:
    """Take something damaged out of the store, and keep its bytes while there is room for them."""
    known = _read(kv)
    kind = _KINDS.get(key[:1], _UNKNOWN)
    counts = {**known.counts, kind: known.counts.get(kind, 0) + 1}
    kept, kept_bytes = known.kept, known.kept_bytes
    size = len(key) + len(data)
    if kept < KEPT_MAX and kept_bytes + size <= KEPT_BYTES_MAX:
        kv.put(keys.quarantine_key(kept), codec.encode_value(_Item(key, data, problem)))
        kept, kept_bytes = kept + 1, kept_bytes + size
    kv.put(keys.META_QUARANTINE, codec.encode_value(_Ledger(counts, kept, kept_bytes)))
    kv.delete(key)


def quarantined(kv: KvTransaction) -> Mapping[str, int]:
    """How many were set aside since the store was made, by kind."""
    return _read(kv).counts


def _read(kv: KvTransaction) -> _Ledger:
    data = kv.get(keys.META_QUARANTINE)
    if data is not None:
        # Where this is damaged itself it begins anew, over what was kept.
        with contextlib.suppress(StoreDamaged):
            return codec.decode_value(data, _Ledger)
    return _Ledger()
