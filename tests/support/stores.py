"""Stores on either engine that can be closed and opened again, and ways to fill them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Final, Protocol

from msgspec.structs import replace

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.slices import whole
from sidecar.storage import keys
from sidecar.storage.answer_codec import StoredAnswer
from sidecar.storage.codec import StoredCounter, Tally
from sidecar.storage.counters import Counters
from sidecar.storage.kv_engine import KvEngine
from sidecar.storage.lmdb_engine import LmdbEngine
from sidecar.storage.mapped_engine import open_engine
from sidecar.storage.memory import MemoryEngine
from sidecar.storage.opening import open_store
from sidecar.storage.outbox import Outbox
from sidecar.storage.record_wire import (
    encode_counter_name,
    encode_owner,
    encode_record,
    encode_slot,
    encode_window,
)
from sidecar.storage.snapshots import Snapshots
from sidecar.storage.store import Store
from sidecar.storage.store_handle import StoreHandle, open_folder
from sidecar.storage.transaction import Transaction
from sidecar.sync.records import UsageRecordReader
from tests.support.build import NOW_US, counter_ref, limit
from tests.support.strict_engine import StrictEngine

STORE_BYTES_MAX: Final = 64 << 20
MONTHLY: Final = counter_ref(limit())
"""The counter of a monthly limit of the whole company."""


class Disk(Protocol):
    """What stays when a store is closed."""

    def engine(self) -> KvEngine:
        """Open the engine; the one before must have been closed."""
        ...


class MemoryDisk:
    """Keeps an engine in memory."""

    def __init__(self, max_bytes: int = STORE_BYTES_MAX) -> None:
        self.memory = MemoryEngine(max_bytes)

    def engine(self) -> KvEngine:
        return self.memory


class LmdbDisk:
    """A folder. `mapped`: written through its map, where the file system allows it."""

    def __init__(
        self, folder: Path, max_bytes: int = STORE_BYTES_MAX, *, mapped: bool = True
    ) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._mapped = mapped
        folder.mkdir(exist_ok=True)

    def engine(self) -> KvEngine:
        make = open_engine if self._mapped else LmdbEngine
        return make(self._folder, self._max_bytes, sync_commits=False)


class OpenedStore:
    """A store with everything that stands on it. Incarnations are called life-1, life-2, ...

    `incarnation`: the name of the first one, where it has to be a UUID. `lives`: what others are
    called in place of life. `strict`: steps are held to write nothing before they raise.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        outbox_records_max: int = 1_000_000,
        incarnation: str = "",
        lives: str = "life",
        strict: bool = True,
    ) -> None:
        self._disk = disk
        self._strict = strict
        self._first_incarnation = incarnation
        self._called = lives
        self._outbox_records_max = outbox_records_max
        self._lives = count(1)
        self._open(power_lost=False)

    def _open(self, *, power_lost: bool) -> None:
        engine = StrictEngine(self._disk.engine())
        self.store: Store = open_store(
            engine,
            new_incarnation=self.new_incarnation,
            outbox_records_max=self._outbox_records_max,
            power_lost=power_lost,
        )
        if self._strict:
            engine.watch(self.store)
        self.outbox = Outbox(self.store, UsageRecordReader())
        self.counters = Counters(self.store)
        self.snapshots = Snapshots(self.store)

    def new_incarnation(self) -> str:
        """The name of the next life."""
        life = next(self._lives)
        is_named = life == 1 and self._first_incarnation
        return self._first_incarnation if is_named else f"{self._called}-{life}"

    def reopen(self, *, power_lost: bool = False) -> None:
        """Close and open again."""
        self.store.close()
        self._open(power_lost=power_lost)

    def close(self) -> None:
        """Let go of it."""
        self.store.close()

    def count(
        self,
        quantity: int = 1,
        ref: CounterRef = MONTHLY,
        *,
        company: str = "acme",
        feature: str = "calls",
    ) -> bytes:
        """Count on one counter, as a check does; the record."""
        return self.store.transact(
            lambda transaction: count_in(transaction, quantity, ref, company, feature)
        )

    def count_each(self, *quantities: int) -> list[bytes]:
        """Count one after the other."""
        return [self.count(quantity) for quantity in quantities]

    def counter(
        self, ref: CounterRef = MONTHLY, company: str = "acme", feature: str = "calls"
    ) -> StoredCounter | None:
        """What is known of a counter."""
        key = counter_key_of(ref, company, feature)
        return self.store.transact(lambda transaction: transaction.counter(key))

    def used(self, ref: CounterRef = MONTHLY) -> int:
        """Usage on a counter."""
        counter = self.counter(ref)
        return 0 if counter is None else counter.used

    def tallies(self) -> Mapping[str, Tally]:
        """What the present incarnation has accepted."""
        return whole(self.outbox.accepted()).tallies

    def waiting(self) -> list[tuple[str, int, int]]:
        """Every record that waits: incarnation, sequence and quantity. Looks, and takes nothing."""
        found = []
        for incarnation in self.store.incarnations:
            first = incarnation.acknowledged_sequence + 1
            for at, record in enumerate(self._records(incarnation.ordinal)):
                quantity = sync_pb2.UsageRecord.FromString(record).quantity
                found.append((incarnation.id, first + at, quantity))
        return found

    def pairs(self, start: bytes = b"\0", stop: bytes = b"\xff") -> list[tuple[bytes, bytes]]:
        """All keys of the store with their values, or those of a range."""
        engine = self.store.engine
        return self.store.transact(
            lambda transaction: engine.scan(transaction.keyspace, start, stop, 1_000_000)
        )

    def _records(self, ordinal: int) -> Iterator[bytes]:
        pairs = self.pairs(keys.outbox_key(ordinal, 0), keys.outbox_key(ordinal + 1, 0))
        # An entry is a version byte, 8 bytes of size, 32 of chain, and the record.
        return (value[41:] for _, value in pairs)


def open_now(folder: Path) -> StoreHandle:
    """Open the store in a folder, as its owner does."""
    return open_folder(
        folder, max_bytes=STORE_BYTES_MAX, sync_commits=False, outbox_records_max=1_000_000
    )


def counter_key_of(ref: CounterRef, company: str = "acme", feature: str = "calls") -> bytes:
    """The store's key of a counter."""
    base = keys.counter_base(company, feature, ref.slot, ref.values)
    return keys.counter_key(base, ref.window.start_us)


def count_in(
    transaction: Transaction,
    quantity: int,
    ref: CounterRef = MONTHLY,
    company: str = "acme",
    feature: str = "calls",
) -> bytes:
    """Count within a step; the record."""
    key = counter_key_of(ref, company, feature)
    known = transaction.counter(key) or StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
    transaction.put_counter(key, replace(known, own=known.own + quantity))
    record = record_of(quantity, ref, company=company, feature=feature)
    transaction.append(record)
    return record


def record_of(
    quantity: int, *refs: CounterRef, company: str = "acme", feature: str = "calls"
) -> bytes:
    """Bytes of a usage record on some counters, `MONTHLY` alone without one, at `NOW_US`."""
    return encode_record(
        encode_owner(company, feature),
        quantity,
        NOW_US,
        NOW_US,
        "",
        b"",
        {},
        {},
        [encode_counter_ref(ref) for ref in refs or (MONTHLY,)],
        0,
        False,
    )


def chain_of(*records: bytes, previous: bytes = bytes(32)) -> bytes:
    """The chain behind some records."""
    for record in records:
        previous = sha256(previous + record).digest()
    return previous


def keep_answer(
    transaction: Transaction, name: bytes = b"name", digest: bytes = bytes(8)
) -> StoredAnswer:
    """Keep an answer within a step: it ends in the id of the last record, as each does."""
    record_id = f"{transaction.incarnation.id}-{transaction.head.sequence}"
    answer = f"answer {record_id}".encode()
    transaction.keep_answer(name, digest, answer, record_id)
    return StoredAnswer(digest, answer)


def encode_counter_ref(counter: CounterRef) -> bytes:
    """The part of a record that names one counter."""
    return encode_counter_name(
        encode_slot(counter.slot), counter.values, encode_window(counter.window)
    )
