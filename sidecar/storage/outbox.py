"""The outbox: usage records on their way to the control plane.

Records leave it once they are acknowledged, never before; on leaving they are added to the tallies.
Before one is sent it is held against its chain. One that is not what was written goes to
quarantine, and what comes after it goes on under a new incarnation, whose chain is made anew.
Incarnations are emptied one after another, oldest first. All work comes in steps that are bounded
in records and in bytes, and a crash between any two of them loses and doubles nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from hashlib import sha256
from typing import Final

import msgspec
import structlog

from sidecar.domain.slices import Slices
from sidecar.shared.wall_clock import wall_us
from sidecar.storage import keys
from sidecar.storage.bounded_scan import STEP_BYTES
from sidecar.storage.codec import Incarnation
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.incarnations import read_head, write_incarnations
from sidecar.storage.moving import move_record, note_lost, summary_in
from sidecar.storage.outbox_entry import ChainWalk, chain_in, record_in
from sidecar.storage.quarantine import Noticing
from sidecar.storage.record_reader import RecordReader
from sidecar.storage.store import Store
from sidecar.storage.tallies import AcceptedTallies, AcceptedUsage, Amount, amount_in, settle
from sidecar.storage.transaction import OutboxHead, Transaction
from sidecar.storage.waiting import Pair, entry_behind, waiting_pairs

STEP_RECORDS: Final = 100
"""Records of one step of maintenance: calls wait while it runs."""
_CHECKED_AT_ONCE: Final = 50
"""Records that are held against their chain between two looks at the event loop."""
_CHECKED_BYTES_AT_ONCE: Final = 1 << 17

log = structlog.get_logger(__name__)


class OutboxRun(msgspec.Struct, frozen=True):
    """Records to send, as `PushUsage` takes them; none where the first is damaged or missing."""

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
        self._behind = partial(entry_behind, store.engine)
        self._set_aside = self._missing = self._noticed_us = 0

    def waiting_bytes(self) -> int:
        """Bytes of the records that wait, over all incarnations."""

        def work(transaction: Transaction) -> int:
            return sum(
                max(0, self._head_of(transaction, known).total_bytes - known.acknowledged_bytes)
                for known in self._store.incarnations
            )

        # An entry of an incarnation that was left may say anything of its size.
        return min(self._store.transact(work), self._store.engine.used_bytes())

    def oldest_accepted_us(self) -> int | None:
        """When the oldest record that waits was accepted; `None` where none waits."""
        incarnation = self._store.incarnations[0]
        pairs = self._store.transact(
            lambda transaction: self._pairs(transaction, incarnation, 1, STEP_BYTES)
        )
        try:
            return self._reader.accepted_us(record_in(pairs[0][1])) if pairs else None
        except StoreDamaged:
            return None

    def head_of(self, incarnation: Incarnation) -> OutboxHead:
        """Where an incarnation ends."""
        return self._store.transact(lambda transaction: self._head_of(transaction, incarnation))

    def next_run(self, records_max: int, bytes_max: int) -> Slices[OutboxRun | None]:
        """The oldest records that wait, as many as fit the bounds but at least one.

        They end before the first that is damaged or missing: where that is the first of all, there
        are none. `None` where nothing waits.
        """
        incarnation = self._store.incarnations[0]
        acknowledged = incarnation.acknowledged_sequence, incarnation.acknowledged_chain

        def work(transaction: Transaction) -> tuple[list[Pair], bytes | None, bool]:
            pairs = self._pairs(transaction, incarnation, records_max, bytes_max)
            behind = self._behind(transaction.keyspace, pairs[0][0]) if len(pairs) == 1 else None
            # An earlier incarnation goes with the last of its records.
            is_earlier = incarnation.ordinal != transaction.incarnation.ordinal
            return pairs, behind, is_earlier or self._waits(transaction, incarnation)

        pairs, behind, waits = self._store.transact(work)
        if not waits:
            return None
        walk, records, unchecked_bytes = ChainWalk(*acknowledged, self._reader.is_record), [], 0
        for at, (key, entry) in enumerate(pairs):
            follower = pairs[at + 1][1] if at + 1 < len(pairs) else behind
            if not walk.follow(keys.sequence_of(key), entry, lambda: follower):  # noqa: B023
                break
            records.append(record_in(entry))
            unchecked_bytes += len(entry)
            if len(records) % _CHECKED_AT_ONCE == 0 or unchecked_bytes > _CHECKED_BYTES_AT_ONCE:
                unchecked_bytes = 0
                yield
        sequence, chain = acknowledged
        return OutboxRun(incarnation.id, sequence + 1, chain, tuple(records))

    def acknowledge(self, incarnation_id: str, watermark: int) -> bool:
        """Forget records up to the watermark, a bounded number of them; whether more are left.

        An answer that came too late, for an incarnation that is gone, is without effect.
        """
        incarnation = self._store.incarnations[0]
        if incarnation.id != incarnation_id:
            return False

        amounts: list[Amount] = []

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            found = self._pairs(transaction, incarnation, STEP_RECORDS, STEP_BYTES)
            pairs = [pair for pair in found if keys.sequence_of(pair[0]) <= watermark]
            if not pairs:
                head = self._head_of(transaction, incarnation)
                if not incarnation.acknowledged_sequence < watermark == head.sequence:
                    return self._store.incarnations
                # The plane has what cannot be found here: that is no loss.
                return self._forget(transaction, incarnation, [], watermark, head.chain)
            if incarnation.ordinal == transaction.incarnation.ordinal:
                # Nobody asks for the tallies of an earlier one again. Set, since a step that does
                # not fit is run again.
                left = (amount_in(self._reader, entry) for _, entry in pairs)
                amounts[:] = [amount for amount in left if amount is not None]
                settle(transaction, amounts)
            chain = self._chain_at_last(transaction, incarnation, pairs)
            last = keys.sequence_of(pairs[-1][0])
            return self._forget(transaction, incarnation, pairs, last, chain)

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
        following = rest or [Incarnation(oldest.ordinal + 1, incarnation_id)]

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            end = self._head_of(transaction, oldest).sequence
            marked = msgspec.structs.replace(oldest, fenced=True, last_sequence=end)
            waits = end > oldest.acknowledged_sequence
            kept = (marked, *following) if waits else tuple(following)
            write_incarnations(transaction.keyspace, kept)
            return kept

        self._change(work)
        return False

    def move_fenced(self) -> bool:
        """Move a bounded number of a fenced incarnation's records; whether there is more to move.

        They are appended to the present incarnation, under new sequences. One without an
        idempotency key gets its former name as one: a clone may hold the same record, and offer it
        too. One that is damaged goes to quarantine, and one that is missing is stepped over.
        """
        fenced = self._store.incarnations[0]
        if not fenced.fenced:
            return False
        damaged: list[Pair] = []
        missing = 0
        noticing = Noticing(fenced.id, self._noticed_us or wall_us())

        def work(transaction: Transaction) -> tuple[Incarnation, ...]:
            nonlocal missing
            moved: list[Pair] = []
            kv, end = transaction.keyspace, self._head_of(transaction, fenced).sequence
            walk, counters, missing = self._walk_of(fenced), 0, 0
            damaged.clear()
            for key, entry in self._pairs(transaction, fenced, STEP_RECORDS, STEP_BYTES):
                summary = summary_in(self._reader, entry)
                counters += len(summary.counters) + len(summary.burns) if summary else 0
                if moved and counters > STEP_RECORDS:
                    break
                moved.append((key, entry))
                sequence, behind = keys.sequence_of(key), partial(self._behind, kv, key)
                missing += max(0, min(sequence, end + 1) - walk.sequence - 1)
                if walk.follow(sequence, entry, behind) and summary:
                    move_record(transaction, fenced, sequence, record_in(entry), summary)
                else:
                    damaged.append((key, entry))
            if not moved:
                missing = max(0, end - walk.sequence)
            note_lost(kv, noticing, end, damaged, missing)
            last = keys.sequence_of(moved[-1][0]) if moved else end
            return self._forget(transaction, fenced, moved, last, walk.chain)

        self._change(work)
        self._set_aside += len(damaged)
        self._missing += missing
        self._noticed_us = noticing.at_us
        more = self._store.incarnations[0].fenced
        if (self._set_aside or self._missing) and not more:
            counts = {"records": self._set_aside, "missing": self._missing}
            log.error("outbox.set_aside", **counts, left=fenced.id)
        if not more:
            self._set_aside = self._missing = self._noticed_us = 0
        return more

    def _forget(
        self,
        transaction: Transaction,
        incarnation: Incarnation,
        pairs: list[Pair],
        last: int,
        chain: bytes,
    ) -> tuple[Incarnation, ...]:
        """Delete an incarnation's first entries; those that are left, without an emptied one.

        `last`: the sequence of the last of them. `chain`: at it.
        """
        kv = transaction.keyspace
        for key, _ in pairs:
            kv.delete(key)
        records_bytes = sum(len(record_in(entry)) for _, entry in pairs)
        moved = msgspec.structs.replace(
            incarnation,
            acknowledged_sequence=last,
            acknowledged_chain=chain,
            acknowledged_bytes=incarnation.acknowledged_bytes + records_bytes,
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

    def _walk_of(self, incarnation: Incarnation) -> ChainWalk:
        """A walk from where an incarnation is acknowledged."""
        sequence, chain = incarnation.acknowledged_sequence, incarnation.acknowledged_chain
        return ChainWalk(sequence, chain, self._reader.is_record)

    def _chain_at_last(
        self, transaction: Transaction, incarnation: Incarnation, pairs: list[Pair]
    ) -> bytes:
        """The chain at the last of an incarnation's first entries, which the plane has."""
        before = chain_in(pairs[-2][1]) if len(pairs) > 1 else incarnation.acknowledged_chain
        last = pairs[-1][1]
        if sha256(before + record_in(last)).digest() == chain_in(last):
            return chain_in(last)
        walk = self._walk_of(incarnation)
        for key, entry in pairs:
            behind = partial(self._behind, transaction.keyspace, key)
            walk.follow(keys.sequence_of(key), entry, behind)
        return walk.chain

    def _pairs(
        self, transaction: Transaction, incarnation: Incarnation, records_max: int, bytes_max: int
    ) -> list[Pair]:
        """An incarnation's first entries, as many as fit the bounds but at least one, if any."""
        if not self._waits(transaction, incarnation):
            return []
        engine, after = self._store.engine, incarnation.acknowledged_sequence
        return waiting_pairs(
            engine, transaction.keyspace, incarnation, after, records_max, bytes_max
        )
