"""Moving a usage record from an incarnation that is left to the present one."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256

from msgspec.structs import replace

from sidecar.domain.bounds import saturated
from sidecar.domain.limits.counters import is_level
from sidecar.storage import keys
from sidecar.storage.codec import Incarnation, StoredCounter
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvTransaction
from sidecar.storage.lease_entry import decode_lease, encode_lease, lease_of
from sidecar.storage.lease_numbers import next_number
from sidecar.storage.outbox_entry import record_in
from sidecar.storage.quarantine import Noticing, note_missing, set_aside
from sidecar.storage.record_reader import RecordReader, RecordSummary
from sidecar.storage.record_wire import encode_identity
from sidecar.storage.transaction import Transaction
from sidecar.storage.waiting import Pair


def move_record(
    transaction: Transaction,
    left: Incarnation,
    sequence: int,
    record: bytes,
    summary: RecordSummary,
) -> None:
    """Append a record to the present incarnation. `left`, `sequence`: which one it was until now.

    Without an idempotency key it gets that as one: a clone may hold the same record, and offer it
    too.
    """
    _count_as_own(transaction, left, sequence, summary)
    identity = b""
    if not summary.keyed:
        identity = encode_identity(f"{left.id}-{sequence}", sha256(record).digest()[:16])
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


def _count_as_own(
    transaction: Transaction, left: Incarnation, sequence: int, summary: RecordSummary
) -> None:
    """A moved record is reported under the present incarnation: it is no longer others'."""
    parts = [(summary.feature, ref, summary.quantity) for ref in summary.counters]
    parts += [(burn.feature, burn.counter, burn.amount) for burn in summary.burns]
    for feature, ref, amount in parts:
        base = keys.counter_base(summary.company, feature, ref.slot, ref.values)
        key = keys.counter_key(base, ref.window.start_us)
        known = transaction.counter(key) or StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
        own = saturated(known.own + amount)
        others = saturated(known.others - amount)
        transaction.put_counter(key, replace(known, own=own, others=others))
        _hand_over(transaction, left, sequence, key, amount, own)


def _hand_over(
    transaction: Transaction, left: Incarnation, sequence: int, key: bytes, quantity: int, own: int
) -> None:
    """Have the present incarnation answer to the plane for what it sends, and not the one left.

    What that one counted, and nobody sends any more under it, is outstanding there for ever.
    """
    kv = transaction.keyspace
    left_key = keys.lease_key(left.ordinal, key)
    data = kv.get(left_key)
    if data is None or (entry := decode_lease(data)).left_at < sequence:
        return
    number = next_number(kv, transaction.incarnation.id)
    granted = entry.granted - quantity
    if not is_level(entry.slot):
        granted = max(0, granted)
    kv.put(left_key, encode_lease(replace(entry, number=number, granted=granted)))
    present_key = keys.lease_key(transaction.incarnation.ordinal, key)
    if (data := kv.get(present_key)) is not None:
        present = decode_lease(data)
    else:
        present = replace(lease_of(transaction.incarnation.id, entry.counter), number=number)
    kv.put(present_key, encode_lease(replace(present, granted=max(present.granted, own))))
