"""The outbox: usage records on their way to the control plane.

Records leave it once they are acknowledged, never before; on leaving they are added to the tallies.
Incarnations are emptied one after another, oldest first. All work comes in steps that are bounded
in records and in bytes, and a crash between any two of them loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from typing import Final

import msgspec

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.slices import Slices
from sidecar.storage import codec, keys
from sidecar.storage.bounded_scan import STEP_BYTES, scan_bounded
from sidecar.storage.codec import Incarnation, OutboxEntry, StoredCounter
from sidecar.storage.incarnations import read_head, write_incarnations
from sidecar.storage.record_reader import RecordReader, RecordSummary
from sidecar.storage.record_wire import encode_identity
from sidecar.storage.store import Store
from sidecar.storage.tallies import AcceptedTallies, AcceptedUsage, Amount, settle
from sidecar.storage.transaction import OutboxHead, Transaction

STEP_RECORDS: Final = 100
"""Records of one step of maintenance: calls wait while it runs."""


class OutboxRun(msgspec.Struct, frozen=True):
    """Records to send, as `PushUsage` takes them."""

    incarnation: str
    first_sequence: int
    previous_chain: bytes
    records: tuple[bytes, ...]


class Outbox:
    """Reads and empties the outbox of a store. `reader` understands the records' bytes."""

    def __init__(self, store: Store, reader: RecordReader) -> None:
        self._store = store
        self._reader = reader
        self._accepted = AcceptedTallies(store, reader)

    def waiting_bytes(self) -> int:
        """Bytes of the records that wait, over all incarnations."""

        def work(transaction: Transaction) -> int:
            return sum(
                self._head_of(transaction, incarnation).total_bytes - incarnation.acknowledged_bytes
                for incarnation in self._store.incarnations
            )

        return self._store.transact(work)

    def oldest_accepted_us(self) -> int | None:
        """When the oldest record that waits was accepted; `None` where none waits."""
        incarnation = self._store.incarnations[0]
        entries = self._store.transact(
            lambda transaction: self._entries(transaction, incarnation, 1, STEP_BYTES)
        )
        return self._reader.accepted_us(entries[0][1].record) if entries else None

    def head_of(self, incarnation: Incarnation) -> OutboxHead:
        """Where an incarnation ends."""
        return self._store.transact(lambda transaction: self._head_of(transaction, incarnation))

    def next_run(self, records_max: int, bytes_max: int) -> OutboxRun | None:
        """The oldest records that wait, as many as fit the bounds but at least one."""
        incarnation = self._store.incarnations[0]
        entries = self._store.transact(
            lambda transaction: self._entries(transaction, incarnation, records_max, bytes_max)
        )
        if not entries:
            return None
        records = tuple(entry.record for _, entry in entries)
        first = incarnation.acknowledged_sequence + 1
        return OutboxRun(incarnation.id, first, incarnation.acknowledged_chain, records)

    def acknowledge(self, incarnation_id: str, watermark: int) -> bool:
        """Forget records up to the watermark, a bounded number of them; whether more are left.

        An answer that came too late, for an incarnation that is gone, is without effect.
        """
        incarnation = self._store.incarnations[0]
        if incarnation.id != incarnation_id:
            return False

        amounts: list[Amount] = []

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            entries = self._entries_up_to(transaction, incarnation, watermark)
            if not entries:
                return self._store.incarnations
            if incarnation.ordinal == transaction.incarnation.ordinal:
                # Nobody asks for the tallies of an earlier one again. Set, since a step that does
                # not fit is run again.
                amounts[:] = [Amount(*self._reader.amount(entry.record)) for _, entry in entries]
                settle(transaction, amounts)
            return self._forget(transaction, incarnation, entries)

        self._change(work)
        self._accepted.left(incarnation.ordinal, amounts)
        present = self._store.incarnations[0]
        return incarnation.acknowledged_sequence < present.acknowledged_sequence < watermark and (
            present.ordinal == incarnation.ordinal
        )

    def accepted(self) -> Slices[AcceptedUsage]:
        """What the present incarnation has accepted, by feature: what has left and what waits."""
        return self._accepted.collected()

    def begin_incarnation(self, incarnation_id: str, fenced: str, common_sequence: int) -> bool:
        """Take a new incarnation, since the plane refuses the history of an incarnation.

        What the plane has in common with it is forgotten first, a bounded number of records;
        whether that has to go on. `move_fenced` then brings the rest under the present incarnation.
        """
        if self.acknowledge(fenced, common_sequence):
            return True
        oldest, *rest = self._store.incarnations
        if oldest.id != fenced:
            return False
        marked = msgspec.structs.replace(oldest, fenced=True)
        incarnations = (
            (marked, *rest) if rest else (marked, Incarnation(oldest.ordinal + 1, incarnation_id))
        )

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            kept = incarnations if self._waits(transaction, marked) else incarnations[1:]
            write_incarnations(transaction.keyspace, kept)
            return kept

        self._change(work)
        return False

    def move_fenced(self) -> bool:
        """Move a bounded number of a fenced incarnation's records; whether there is more to move.

        They are appended to the present incarnation, under new sequences. One without an
        idempotency key gets its former name as one: a clone may hold the same record, and offer it
        too.
        """
        fenced = self._store.incarnations[0]
        if not fenced.fenced:
            return False

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            moved: list[tuple[bytes, OutboxEntry]] = []
            counters = 0
            for key, entry in self._entries(transaction, fenced, STEP_RECORDS, STEP_BYTES):
                summary = self._reader.summary(entry.record)
                counters += len(summary.counters)
                if moved and counters > STEP_RECORDS:
                    break
                moved.append((key, entry))
                _count_as_own(transaction, summary)
                identity = b""
                if not summary.keyed:
                    name = f"{fenced.id}-{keys.sequence_of(key)}"
                    identity = encode_identity(name, sha256(entry.record).digest()[:16])
                transaction.append(entry.record + identity)
            return self._forget(transaction, fenced, moved)

        self._change(work)
        return self._store.incarnations[0].fenced

    def _forget(
        self,
        transaction: Transaction,
        incarnation: Incarnation,
        entries: list[tuple[bytes, OutboxEntry]],
    ) -> tuple[Incarnation, ...]:
        """Delete an incarnation's first entries; those that are left, without an emptied one."""
        kv = transaction.keyspace
        for key, _ in entries:
            kv.delete(key)
        last_key, last = entries[-1]
        moved = msgspec.structs.replace(
            incarnation,
            acknowledged_sequence=keys.sequence_of(last_key),
            acknowledged_chain=last.chain,
            acknowledged_bytes=last.total_bytes,
        )
        rest = self._store.incarnations[1:]
        is_emptied = rest and not self._waits(transaction, moved)
        incarnations = rest if is_emptied else (moved, *rest)
        write_incarnations(kv, incarnations)
        return incarnations

    def _change(self, work: Callable[[Transaction], tuple[Incarnation, ...]]) -> None:
        """Run a step that gives the incarnations, and take them over once it is committed.

        What is to be known of them is read in the same step: a failure must not come in between.
        """
        store = self._store

        def step(transaction: Transaction) -> tuple[tuple[Incarnation, ...], int]:
            incarnations = work(transaction)
            backlog = sum(
                read_head(store.engine, transaction.keyspace, incarnation).sequence
                - incarnation.acknowledged_sequence
                for incarnation in incarnations[:-1]
            )
            return incarnations, backlog

        incarnations, backlog_records = store.transact(step)
        changed = incarnations[-1].ordinal != store.incarnation.ordinal
        store.set_incarnations(
            incarnations, OutboxHead() if changed else store.head, backlog_records
        )

    def _waits(self, transaction: Transaction, incarnation: Incarnation) -> bool:
        return self._head_of(transaction, incarnation).sequence > incarnation.acknowledged_sequence

    def _head_of(self, transaction: Transaction, incarnation: Incarnation) -> OutboxHead:
        if incarnation.ordinal == transaction.incarnation.ordinal:
            return transaction.head
        return read_head(self._store.engine, transaction.keyspace, incarnation)

    def _entries(
        self, transaction: Transaction, incarnation: Incarnation, records_max: int, bytes_max: int
    ) -> list[tuple[bytes, OutboxEntry]]:
        """An incarnation's first entries, as many as fit the bounds but at least one, if any."""
        start = keys.outbox_key(incarnation.ordinal, incarnation.acknowledged_sequence + 1)
        stop = keys.outbox_key(incarnation.ordinal + 1, 0)
        pairs = scan_bounded(
            self._store.engine, transaction.keyspace, start, stop, records_max, bytes_max
        )
        return [(key, codec.decode_entry(value)) for key, value in pairs]

    def _entries_up_to(
        self, transaction: Transaction, incarnation: Incarnation, watermark: int
    ) -> list[tuple[bytes, OutboxEntry]]:
        entries = self._entries(transaction, incarnation, STEP_RECORDS, STEP_BYTES)
        return [pair for pair in entries if keys.sequence_of(pair[0]) <= watermark]


def _count_as_own(transaction: Transaction, summary: RecordSummary) -> None:
    """A moved record is reported under the present incarnation: it is no longer others'."""
    for ref in summary.counters:
        base = keys.counter_base(summary.company, summary.feature, ref.slot, ref.values)
        key = keys.counter_key(base, ref.window.start_us)
        known = transaction.counter(key) or StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
        own = min(INT64_MAX, known.own + summary.quantity)
        others = max(-INT64_MAX, known.others - summary.quantity)
        transaction.put_counter(key, msgspec.structs.replace(known, own=own, others=others))
