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
from sidecar.storage.answer_codec import (
    Partitions,
    StoredAnswer,
    decode_answer,
    encode_answer,
)
from sidecar.storage.bucket_codec import decode_bucket, encode_bucket
from sidecar.storage.codec import Incarnation, StoredCounter
from sidecar.storage.counting import counted_up_leased
from sidecar.storage.key_check import keyed
from sidecar.storage.keys import OUTBOX, pack_outbox_key
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.outbox_entry import ENTRY_VERSION, FIRST_CHAIN, pack_entry

_WINDOWS_LOOKED_AT_MAX = 40
_ANSWER_OVERHEAD_BYTES = 28
"""An answer's key, and what the tree keeps beside key and value."""


class OutboxHead(msgspec.Struct, frozen=True):
    """Where the outbox ends: last sequence, chain at it, and bytes of all records up to it."""

    sequence: int = 0
    chain: bytes = FIRST_CHAIN
    total_bytes: int = 0


class AnswerPlace:
    """Where answers are kept, as the path of a call needs it; `Answers` sees to the rest.

    `current`, `previous`: how keys of the partitions begin; `previous` is empty where there is
    none. `takes`: whether there is room. `bytes_put`: to the current one, since it was last asked.
    `not_kept`: answers without room. `names`: ids of incarnations, by ordinal.
    """

    __slots__ = ("bytes_put", "current", "names", "not_kept", "previous", "takes")

    def __init__(self, names: dict[int, str]) -> None:
        self.names = names
        self.takes = True
        self.bytes_put = self.not_kept = 0
        self.take_over(Partitions())

    def take_over(self, partitions: Partitions) -> None:
        """Go by what is stored of the partitions."""
        previous = partitions.previous
        self.current = keys.answers_of(partitions.current)
        self.previous = b"" if previous is None else keys.answers_of(previous)


class Transaction:
    """Reads and writes of one step."""

    __slots__ = (
        "_buckets_ahead_us",
        "_engine",
        "answer_place",
        "head",
        "incarnation",
        "kv",
    )

    def __init__(
        self,
        engine: KvEngine,
        incarnation: Incarnation,
        head: OutboxHead,
        answer_place: AnswerPlace,
    ) -> None:
        self._engine = engine
        self._buckets_ahead_us = 0
        self.answer_place = answer_place
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

    def lease_covers(self, key: bytes, quantity: int, at_us: int, amount: int) -> bool:
        """Whether it is certain that the lease under a counter's key covers a quantity.

        `amount`: of the limit. Quicker than to look at the counter.
        """
        assert self.kv is not None
        ordinal = self.incarnation.ordinal
        return counted_up_leased(self.kv.get(key), ordinal, quantity, at_us, amount) is not None

    def put_counter(self, key: bytes, counter: StoredCounter) -> None:
        """Set a counter."""
        assert self.kv is not None
        self.kv.put(key, keyed(codec.encode_counter(counter, self.incarnation.ordinal), key))

    def carried_before(self, base: bytes, window_start_us: int) -> tuple[int, StoredCounter] | None:
        """The last earlier window of which it is known what came into it; of the newest few.

        Start of the window and its counter, which has no values.
        """
        start, stop = base + bytes(8), keys.counter_key(base, window_start_us)
        for _ in range(_WINDOWS_LOOKED_AT_MAX):
            found = self._engine.last(self.keyspace, start, stop)
            if found is None:
                return None
            stop, data = found
            if codec.is_carrying(data):
                counter = codec.decode_counter(data, self.incarnation.ordinal, ())
                return keys.window_start_of(stop), counter
        return None

    def has_counter_behind(self, base: bytes, window_start_us: int) -> bool:
        """Whether anything is known of a later window than one, of counters without values."""
        start, stop = keys.counter_key(base, window_start_us + 1), base + b"\xff" * 9
        return self._engine.last(self.keyspace, start, stop) is not None

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
        kept = decode_bucket(data, self.incarnation.ordinal)
        if kept.updated_us > END_INSTANT_US:
            return None  # of no time that there is: what is left in it can't be told
        updated_us = kept.updated_us - self._buckets_ahead_us
        if updated_us > now_us:
            self._buckets_ahead_us += updated_us - now_us
            updated_us = now_us
        return Bucket(kept.level, updated_us, kept.share_ppm)

    def put_bucket(self, key: bytes, bucket: Bucket, over_us: int) -> None:
        """Set a bucket, which may be forgotten from `over_us` on."""
        assert self.kv is not None
        updated_us = bucket.updated_us + self._buckets_ahead_us
        kept = Bucket(bucket.level, updated_us, bucket.share_ppm)
        self.kv.put(key, encode_bucket(kept, over_us, self.incarnation.ordinal))

    def stores_answer(self, name: bytes) -> bool:
        """Whether there is an answer under a hash."""
        assert self.kv is not None
        place = self.answer_place
        return self.kv.get(place.current + name) is not None or (
            place.previous != b"" and self.kv.get(place.previous + name) is not None
        )

    def answer(self, name: bytes) -> StoredAnswer | None:
        """The stored answer under a hash, until it is removed: no clock takes it away before."""
        assert self.kv is not None
        place = self.answer_place
        data = self.kv.get(place.current + name)
        if data is None and place.previous:
            data = self.kv.get(place.previous + name)
        if data is None:
            return None
        return decode_answer(data, place.names)

    def keep_answer(self, name: bytes, digest: bytes, answer: bytes, record_id: str) -> None:
        """Keep an answer for retries, if there is room; it ends in the id of the last record."""
        assert self.kv is not None
        place = self.answer_place
        if not place.takes:
            place.not_kept += 1
            return
        ordinal, sequence = self.incarnation.ordinal, self.head.sequence
        data = encode_answer(digest, answer, ordinal, sequence, len(record_id))
        self.kv.put(place.current + name, data)
        place.bytes_put += len(data) + _ANSWER_OVERHEAD_BYTES

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
