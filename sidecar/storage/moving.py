"""Moving a usage record from an incarnation that is left to the present one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.storage import keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvTransaction
from sidecar.storage.outbox_entry import record_in
from sidecar.storage.quarantine import Noticing, note_missing, set_aside
from sidecar.storage.record_reader import RecordReader, RecordSummary
from sidecar.storage.record_wire import encode_identity
from sidecar.storage.transaction import Transaction
from sidecar.storage.waiting import Pair


def move_record(transaction: Transaction, name: str, record: bytes, summary: RecordSummary) -> None:
    """Append a record to the present incarnation. `name`: its id until now.

    Without an idempotency key it gets that as one: a clone may hold the same record, and offer it
    too.
    """
    _count_as_own(transaction, summary)
    identity = b""
    if not summary.keyed:
        identity = encode_identity(name, sha256(record).digest()[:16])
    transaction.append(record + identity)


def note_lost(
    kv: KvTransaction, noticing: Noticing, end: int, damaged: Sequence[Pair], missing: int
) -> None:
    """Set aside damaged entries of an incarnation, and count those that are missing of it.

    An entry behind the `end` has the key of none that was written: it is missing elsewhere.
    """
    for key, entry in damaged:
        problem = f"is no record of {noticing.incarnation}, or another"
        is_counted = keys.sequence_of(key) <= end
        set_aside(kv, key, entry, problem, lost=noticing, is_counted=is_counted)
    if missing:
        note_missing(kv, noticing, missing)


def summary_in(reader: RecordReader, entry: bytes) -> RecordSummary | None:
    """What the record of an outbox entry says; `None` for one that is damaged."""
    try:
        return reader.summary(record_in(entry))
    except StoreDamaged:
        return None


def _count_as_own(transaction: Transaction, summary: RecordSummary) -> None:
    """A moved record is reported under the present incarnation: it is no longer others'."""
    for ref in summary.counters:
        base = keys.counter_base(summary.company, summary.feature, ref.slot, ref.values)
        key = keys.counter_key(base, ref.window.start_us)
        known = transaction.counter(key) or StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
        own = min(INT64_MAX, known.own + summary.quantity)
        others = max(-INT64_MAX, known.others - summary.quantity)
        transaction.put_counter(key, msgspec.structs.replace(known, own=own, others=others))
