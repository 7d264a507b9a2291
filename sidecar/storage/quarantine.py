"""Quarantine: what was damaged in the store and could be taken out of it; kept for a look.

The bytes stay under keys of their own, bounded in number and in size. Beyond that they are counted
alone. What was taken out is missing from then on; what that means is for each kind another thing:
snapshots and the catalog are fetched again, an answer for retries is not given again, a counter
begins anew, under a new incarnation, with what the plane tells of it, and a usage record is lost to
the ledger. So the plane
is told of usage records, by the incarnation that they were of; and of those that are not there.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from sidecar.storage import codec, keys
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvTransaction

KEPT_MAX: Final = 1_000
KEPT_BYTES_MAX: Final = 4 << 20

USAGE_RECORD: Final = "usage record"
MISSING_RECORD: Final = "missing usage record"
LOST_MAX: Final = 8
"""Losses of records that are kept, the newest; the plane was told of the others."""
_KINDS: Final = {
    keys.COUNTERS: "counter",
    keys.BUCKETS: "bucket of a rate",
    keys.ANSWERS: "stored answer",
    keys.UNPARTITIONED_ANSWERS: "stored answer",
    keys.LEASES: "lease",
    keys.META: "fact of the store",
    keys.CATALOG_PARTS: "part of the catalog",
    keys.COMPANY_NAMES: "name of a company",
    keys.SNAPSHOTS: "snapshot of a company",
    keys.STAGED: "snapshot of a company",
    keys.OUTBOX: USAGE_RECORD,
}
_UNKNOWN: Final = "unknown"


class Noticing(NamedTuple):
    """When an incarnation was seen to have lost records; all that is seen then is one loss."""

    incarnation: str
    at_us: int


class LostRecords(msgspec.Struct, frozen=True):
    """Usage records of an incarnation that waited and are lost, as told to the plane.

    `damaged`: set aside. `missing`: not to be found where they should be.
    """

    incarnation: str
    noticed_us: int
    damaged: int = 0
    missing: int = 0

    @property
    def reason(self) -> str:
        """What was found, for people."""
        return f"of its waiting records {self.damaged} were damaged and {self.missing} missing"


class _Ledger(msgspec.Struct, frozen=True):
    """What was set aside so far: how many of each kind, and what of it is kept."""

    counts: dict[str, int] = {}
    kept: int = 0
    kept_bytes: int = 0
    lost: tuple[LostRecords, ...] = ()

    def counting(self, kind: str, number: int) -> dict[str, int]:
        """The counts with some more of a kind."""
        return {**self.counts, kind: self.counts.get(kind, 0) + number}

    def losing(self, noticing: Noticing, *, damaged: int = 0, missing: int = 0) -> _Ledger:
        """With some more usage records lost."""
        earlier, last = self.lost, LostRecords(*noticing)
        if earlier and (earlier[-1].incarnation, earlier[-1].noticed_us) == noticing:
            earlier, last = earlier[:-1], earlier[-1]
        now = msgspec.structs.replace(
            last, damaged=last.damaged + damaged, missing=last.missing + missing
        )
        return msgspec.structs.replace(self, lost=(*earlier, now)[-LOST_MAX:])


class _Item(msgspec.Struct, frozen=True):
    """Something that was set aside: where it was, its bytes, and what was wrong."""

    key: bytes
    data: bytes
    problem: str


def set_aside(
    kv: KvTransaction,
    key: bytes,
    data: bytes,
    problem: str,
    *,
    lost: Noticing | None = None,
    is_counted: bool = True,
) -> None:
    """Take something damaged out of the store, and keep its bytes while there is room for them.

    `lost`: for a usage record that waited. `is_counted`: it is not counted as missing.
    """
    known = _read(kv)
    if is_counted:
        kind = _KINDS.get(key[:1], _UNKNOWN)
        known = msgspec.structs.replace(known, counts=known.counting(kind, 1))
        known = known.losing(lost, damaged=1) if lost else known
    kept, kept_bytes = known.kept, known.kept_bytes
    size = len(key) + len(data)
    if kept < KEPT_MAX and kept_bytes + size <= KEPT_BYTES_MAX:
        kv.put(keys.quarantine_key(kept), codec.encode_value(_Item(key, data, problem)))
        kept, kept_bytes = kept + 1, kept_bytes + size
    _write(kv, msgspec.structs.replace(known, kept=kept, kept_bytes=kept_bytes))
    kv.delete(key)


def note_missing(kv: KvTransaction, noticing: Noticing, number: int) -> None:
    """Count usage records that waited, and cannot be found."""
    known = _read(kv).losing(noticing, missing=number)
    counts = known.counting(MISSING_RECORD, number)
    _write(kv, msgspec.structs.replace(known, counts=counts))


def lost_records(kv: KvTransaction) -> Sequence[LostRecords]:
    """Usage records that are lost, by incarnation and when that was noticed."""
    return _read(kv).lost


def quarantined(kv: KvTransaction) -> Mapping[str, int]:
    """How many were set aside since the store was made, by kind."""
    return _read(kv).counts


def _write(kv: KvTransaction, ledger: _Ledger) -> None:
    kv.put(keys.META_QUARANTINE, codec.encode_value(ledger))


def _read(kv: KvTransaction) -> _Ledger:
    data = kv.get(keys.META_QUARANTINE)
    if data is not None:
        # Where this is damaged itself it begins anew, over what was kept.
        with contextlib.suppress(StoreDamaged):
            return codec.decode_value(data, _Ledger)
    return _Ledger()
