"""Tallies: what an incarnation has accepted, by feature; `reconcile` compares them with the ledger.

What has left the outbox is kept in the store, a key for each feature. What still waits is added to
that in memory once somebody asks, in bounded steps; the sum stays there, and the next to ask goes
on from it. It is of all records up to a sequence, whether they wait or have left since; where later
ones have left, too, it begins anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec

from sidecar.domain.slices import Slices
from sidecar.storage import codec, keys
from sidecar.storage.bounded_scan import next_start
from sidecar.storage.codec import Incarnation, Tally
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.outbox_entry import record_in
from sidecar.storage.record_reader import RecordReader
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from sidecar.storage.waiting import waiting_pairs

COUNTED_AT_ONCE: Final = 500
"""Records, or tallies of features, that one step reads."""

_NONE: Final = Tally()


class Amount(NamedTuple):
    """What a record adds to the tallies."""

    feature: str
    quantity: int


class AcceptedUsage(msgspec.Struct, frozen=True):
    """What an incarnation has accepted up to a sequence, by feature.

    `waiting`: records of all incarnations that waited at that moment.
    """

    incarnation: Incarnation
    sequence: int
    waiting: int
    tallies: Mapping[str, Tally]


def settle(transaction: Transaction, amounts: Iterable[Amount]) -> None:
    """Add records of the present incarnation that leave the outbox to its tallies."""
    kv, ordinal = transaction.keyspace, transaction.incarnation.ordinal
    changed: dict[bytes, Tally] = {}
    for amount in amounts:
        key = keys.tally_key(ordinal, amount.feature)
        known = changed.get(key)
        if known is None:
            data = kv.get(key)
            known = _NONE if data is None else codec.decode_tally(data)
        changed[key] = known.plus(amount.quantity)
    for key, tally in changed.items():
        kv.put(key, codec.encode_tally(tally))


def amount_in(reader: RecordReader, entry: bytes) -> Amount | None:
    """What the record of an outbox entry adds; `None` for one that is damaged."""
    try:
        return Amount(*reader.amount(record_in(entry)))
    except StoreDamaged:
        return None


class AcceptedTallies:
    """The sum in memory, of the present incarnation.

    Steps that read must run alone, so that they see nothing but what was committed.
    """

    def __init__(self, store: Store, reader: RecordReader) -> None:
        self._store = store
        self._reader = reader
        self._tallies: dict[str, Tally] = {}
        self._ordinal = 0
        self._sequence = 0
        self._unread_from: bytes | None = None
        """The first key of those tallies in the store that are not in the sum yet."""

    def collected(self) -> Slices[AcceptedUsage]:
        """What was accepted up to now, in bounded steps."""
        ordinal = target = 0
        while True:
            incarnation = self._store.incarnation
            if incarnation.ordinal != ordinal:
                ordinal, target = incarnation.ordinal, self._store.head.sequence
            self._read_on(incarnation)
            if self._unread_from is None and self._sequence >= target:
                waiting = self._store.waiting_records()
                return AcceptedUsage(incarnation, self._sequence, waiting, dict(self._tallies))
            yield

    def left(self, ordinal: int, amounts: Iterable[Amount]) -> None:
        """Records of an incarnation have left the outbox, and are in the store's tallies now.

        While those are being read, what was read of them before has to follow.
        """
        unread_from = self._unread_from
        if ordinal != self._ordinal or unread_from is None:
            return
        for amount in amounts:
            if keys.tally_key(ordinal, amount.feature) < unread_from:
                self._add(amount.feature, amount.quantity)

    def _read_on(self, incarnation: Incarnation) -> None:
        has_passed = (
            self._unread_from is None and self._sequence < incarnation.acknowledged_sequence
        )
        if incarnation.ordinal != self._ordinal or has_passed:
            self._ordinal, self._tallies = incarnation.ordinal, {}
            self._unread_from = keys.tallies_of(incarnation.ordinal)
        if self._unread_from is not None:
            self._read_settled(incarnation, self._unread_from)
        else:
            self._read_waiting(incarnation)

    def _read_settled(self, incarnation: Incarnation, start: bytes) -> None:
        found = self._scan(start, keys.tallies_of(incarnation.ordinal + 1))
        for key, data in found:
            self._tallies[keys.feature_of(key)] = codec.decode_tally(data)
        more = len(found) == COUNTED_AT_ONCE
        self._unread_from = next_start(start, found) if more else None
        self._sequence = incarnation.acknowledged_sequence

    def _read_waiting(self, incarnation: Incarnation) -> None:
        store = self._store
        if self._sequence >= store.head.sequence:
            return
        found = store.transact(
            lambda transaction: waiting_pairs(
                store.engine, transaction.keyspace, incarnation, self._sequence, COUNTED_AT_ONCE
            )
        )
        if not found:
            # Whatever was up to the end cannot be found any more.
            self._sequence = max(self._sequence, store.head.sequence)
        for key, data in found:
            amount = amount_in(self._reader, data)
            if amount is not None:
                self._add(*amount)
            self._sequence = keys.sequence_of(key)

    def _scan(self, start: bytes, stop: bytes) -> list[tuple[bytes, bytes]]:
        engine = self._store.engine
        return self._store.transact(
            lambda transaction: engine.scan(transaction.keyspace, start, stop, COUNTED_AT_ONCE)
        )

    def _add(self, feature: str, quantity: int) -> None:
        self._tallies[feature] = self._tallies.get(feature, _NONE).plus(quantity)
