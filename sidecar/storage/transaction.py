"""One atomic step on the store: what a use case may read and write in it.

A transaction object is made once and armed for each step, since making one is felt on the path of a
call. It belongs to the thread that runs the step.
"""

from __future__ import annotations

from hashlib import sha256

import msgspec

from sidecar.domain.limits.rates import Bucket
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.storage import codec, keys
from sidecar.storage.codec import (
    ENTRY_VERSION,
    Incarnation,
    StoredAnswer,
    StoredCounter,
    pack_entry,
)
from sidecar.storage.keys import OUTBOX, pack_outbox_key
from sidecar.storage.kv_engine import KvEngine, KvTransaction

_CHAIN_START = bytes(32)
_WINDOWS_LOOKED_AT_MAX = 40


class OutboxHead(msgspec.Struct, frozen=True):
    """Where the outbox ends: last sequence, chain at it, and bytes of all records up to it."""

    sequence: int = 0
    chain: bytes = _CHAIN_START
    total_bytes: int = 0


class Transaction:
    """Reads and writes of one step."""

    __slots__ = ("_buckets_ahead_us", "_engine", "head", "incarnation", "kv")

    def __init__(self, engine: KvEngine, incarnation: Incarnation, head: OutboxHead) -> None:
        self._engine = engine
        self._buckets_ahead_us = 0
        self.kv: KvTransaction | None = None
        self.incarnation = incarnation
        self.head = head

    @property
    def keyspace(self) -> KvTransaction:
        """All keys, as this step sees and writes them; for the other modules of this room."""
        assert self.kv is not None, "no step is under way"
        return self.kv

    def counter(self, key: bytes, values: tuple[str, ...] | None = None) -> StoredCounter | None:
        """The counter under a key; `None` if nothing was ever counted or heard of it.

        `values`: of its slot's dimensions, where the caller knows them.
        """
        assert self.kv is not None
        data = self.kv.get(key)
        return (
            None if data is None else codec.decode_counter(data, self.incarnation.ordinal, values)
        )

    def put_counter(self, key: bytes, counter: StoredCounter) -> None:
        """Set a counter."""
        assert self.kv is not None
        self.kv.put(key, codec.encode_counter(counter, self.incarnation.ordinal))

    def is_carried_before(self, base: bytes, window_start_us: int) -> bool:
        """Whether it is known of an earlier window what was carried into it; of the newest few."""
        start, stop = base + bytes(8), keys.counter_key(base, window_start_us)
        for _ in range(_WINDOWS_LOOKED_AT_MAX):
            found = self._engine.last(self.keyspace, start, stop)
            if found is None:
                return False
            stop, data = found
            if codec.is_carrying(data):
                return True
        return False

    def bucket(self, key: bytes, now_us: int) -> Bucket | None:
        """The bucket of a rate under a key; `None` for one that is empty.

        Buckets live on a time that never goes back. One that was filled later than now says that
        the clock was set back since: then that time goes on from there, ahead of the clock, and
        every bucket drains on as it did. So nothing is locked for as long as the clock jumped, and
        what callers were told to wait stays true.
        """
        assert self.kv is not None
        data = self.kv.get(key)
        if data is None:
            return None
        kept = codec.decode_bucket(data)
        if kept.updated_us > END_INSTANT_US:
            return None  # of no time that there is: what is left in it can't be told
        updated_us = kept.updated_us - self._buckets_ahead_us
        if updated_us > now_us:
            self._buckets_ahead_us += updated_us - now_us
            updated_us = now_us
        return Bucket(kept.level, updated_us)

    def put_bucket(self, key: bytes, bucket: Bucket, over_us: int) -> None:
        """Set a bucket, which may be forgotten from `over_us` on."""
        assert self.kv is not None
        kept = Bucket(bucket.level, bucket.updated_us + self._buckets_ahead_us)
        self.kv.put(key, codec.encode_bucket(kept, over_us))

    def answer(self, key: bytes) -> StoredAnswer | None:
        """The stored answer under a key, until it is swept: no clock can take it away before."""
        assert self.kv is not None
        data = self.kv.get(key)
        return None if data is None else codec.decode_answer(data)

    def put_answer(self, key: bytes, stored: StoredAnswer) -> None:
        """Keep an answer for retries."""
        assert self.kv is not None
        self.kv.put(key, codec.encode_answer(stored))

    def append(self, record: bytes) -> None:
        """Put a usage record at the end of the outbox, under the next sequence."""
        assert self.kv is not None
        # As `outbox_key`: a call more is felt on the path of a check.
        before = self.head
        sequence, total_bytes = before.sequence + 1, before.total_bytes + len(record)
        chain = sha256(before.chain + record).digest()
        self.head = OutboxHead(sequence, chain, total_bytes)
        self.kv.put(
            pack_outbox_key(OUTBOX, self.incarnation.ordinal, sequence),
            pack_entry(ENTRY_VERSION, total_bytes, chain) + record,
        )

    def next_record_id(self) -> str:
        """Id of the record that `append` would write."""
        return f"{self.incarnation.id}-{self.head.sequence + 1}"
