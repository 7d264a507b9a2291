"""The incarnations in the store: which there are, where each one's outbox ends, and their names."""

from __future__ import annotations

from typing import Final

from sidecar.storage import codec, keys
from sidecar.storage.codec import Incarnation
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.transaction import OutboxHead

_INCARNATIONS_MAX: Final = 16
_NAMES_MAX: Final = 100_000
"""More than there can be incarnations in two days, since new ones back off."""


def read_head(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> OutboxHead:
    """Where the outbox of an incarnation ends."""
    start = keys.outbox_key(incarnation.ordinal, 0)
    last = engine.last(kv, start, keys.outbox_key(incarnation.ordinal + 1, 0))
    if last is None:
        return OutboxHead(
            incarnation.acknowledged_sequence,
            incarnation.acknowledged_chain,
            incarnation.acknowledged_bytes,
        )
    entry = codec.decode_entry(last[1])
    return OutboxHead(keys.sequence_of(last[0]), entry.chain, entry.total_bytes)


def write_incarnations(kv: KvTransaction, incarnations: tuple[Incarnation, ...]) -> None:
    """Put the incarnations, and the present one's name for its answers."""
    present = incarnations[-1]
    kv.put(keys.META_INCARNATIONS, codec.encode_value(incarnations))
    kv.put(keys.name_key(present.ordinal), present.id.encode())


def read_names(engine: KvEngine, kv: KvTransaction) -> dict[int, str]:
    """Ids of incarnations that kept answers refer to, by ordinal; the newest that there are."""
    start, stop = keys.name_key(0), keys.after(keys.META_NAME)
    return {
        keys.ordinal_of(key): data.decode()
        for key, data in engine.scan(kv, start, stop, _NAMES_MAX)
    }


def read_incarnations(kv: KvTransaction) -> tuple[Incarnation, ...]:
    """The incarnations, oldest first; none in a new store."""
    data = kv.get(keys.META_INCARNATIONS)
    return () if data is None else codec.decode_value(data, tuple[Incarnation, ...])


def with_new_incarnation(
    incarnations: tuple[Incarnation, ...], incarnation_id: str
) -> tuple[Incarnation, ...]:
    """With one more, as long as there are not too many: then the present one goes on."""
    if len(incarnations) >= _INCARNATIONS_MAX:
        return incarnations
    return (*incarnations, Incarnation(incarnations[-1].ordinal + 1, incarnation_id))
