"""The incarnations in the store: which there are, where each one's outbox ends, and their names."""

from __future__ import annotations

import contextlib
from typing import Final

import msgspec

from sidecar.shared.wall_clock import wall_us
from sidecar.storage import codec, keys
from sidecar.storage.bounded_scan import next_start
from sidecar.storage.codec import Incarnation
from sidecar.storage.damage import StoreDamaged, reads
from sidecar.storage.kv_engine import KvEngine, KvTransaction
from sidecar.storage.outbox_entry import FIRST_CHAIN, chain_in, record_in, total_bytes_in
from sidecar.storage.quarantine import Noticing, set_aside
from sidecar.storage.transaction import OutboxHead

INCARNATIONS_MAX: Final = 16
_SEQUENCE_MAX: Final = 1 << 62
_ASTRAY_MAX: Final = 1_000
"""Entries behind a gap at the end of an outbox; more are a file that nobody can make sense of."""
_SUMMED_AT_ONCE: Final = 1_000
_NAMES_MAX: Final = 100_000
"""More than there can be incarnations in two days, since new ones back off."""


def read_incarnations(kv: KvTransaction) -> tuple[Incarnation, ...]:
    """Lives with records to send, oldest first, the present one last; none in a new store."""
    data = kv.get(keys.META_INCARNATIONS)
    if data is None:
        return ()
    incarnations = codec.decode_value(data, tuple[Incarnation, ...])
    ordinals = [incarnation.ordinal for incarnation in incarnations]
    if not (
        0 < len(incarnations) <= INCARNATIONS_MAX
        and ordinals == sorted(set(ordinals))
        and all(0 < ordinal < 1 << 32 for ordinal in ordinals)
        and all(0 <= known.acknowledged_sequence < _SEQUENCE_MAX for known in incarnations)
        and all(0 <= known.acknowledged_bytes < _SEQUENCE_MAX for known in incarnations)
        and all(0 <= known.known_end < _SEQUENCE_MAX for known in incarnations)
        and not incarnations[-1].fenced
        and all(len(known.acknowledged_chain) == len(FIRST_CHAIN) for known in incarnations)
    ):
        raise StoreDamaged("damage in the store: incarnations that cannot be")
    return incarnations


def write_incarnations(kv: KvTransaction, incarnations: tuple[Incarnation, ...]) -> None:
    """Put the incarnations, and the present one's name for its answers."""
    present = incarnations[-1]
    kv.put(keys.META_INCARNATIONS, codec.encode_value(incarnations))
    kv.put(keys.name_key(present.ordinal), present.id.encode())


def read_names(engine: KvEngine, kv: KvTransaction) -> dict[int, str]:
    """Ids of incarnations that kept answers refer to, by ordinal; the newest that there are.

    One that is damaged is left out: answers that refer to it are not given again.
    """
    start, stop = keys.name_key(0), keys.after(keys.META_NAME)
    names: dict[int, str] = {}
    for key, data in engine.scan(kv, start, stop, _NAMES_MAX):
        with contextlib.suppress(StoreDamaged):
            names[keys.ordinal_of_name(key)] = name_in(data)
    return names


@reads("an incarnation's id")
def name_in(data: bytes) -> str:
    """The id of an incarnation, as it is kept for its answers."""
    return data.decode()


def with_new_incarnation(
    incarnations: tuple[Incarnation, ...], incarnation_id: str, last_sequence: int
) -> tuple[Incarnation, ...]:
    """With one more, unless there are as many as may be; the one before ended at a sequence."""
    if len(incarnations) >= INCARNATIONS_MAX:
        return incarnations
    *earlier, left = incarnations
    left = msgspec.structs.replace(left, last_sequence=last_sequence)
    return (*earlier, left, Incarnation(left.ordinal + 1, incarnation_id))


def read_head(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> OutboxHead:
    """Where the outbox of an incarnation ends; of one that was left also where that is missing."""
    last = engine.last(kv, *_range_of(incarnation))
    sequence, chain = incarnation.acknowledged_sequence, incarnation.acknowledged_chain
    total_bytes = incarnation.acknowledged_bytes
    if last is not None:
        sequence, chain = keys.sequence_of(last[0]), chain_in(last[1])
        total_bytes = total_bytes_in(last[1])
    if incarnation.known_end:
        sequence = max(incarnation.acknowledged_sequence, incarnation.known_end)
    return OutboxHead(sequence, chain, total_bytes)


def mended(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> Incarnation:
    """Check where an outbox begins and ends, which all that is added builds on; as it then is.

    An entry at the end that cannot belong there is set aside. Whether records are what was written,
    and all are there, is seen before they are sent, and nothing here depends on it.
    """
    start, stop = _range_of(incarnation)
    first = engine.scan(kv, keys.outbox_key(incarnation.ordinal, 0), stop, 1)
    if first and keys.sequence_of(first[0][0]) <= incarnation.acknowledged_sequence:
        # An acknowledged record leaves with the acknowledgement: that is what is not true.
        before = max(0, keys.sequence_of(first[0][0]) - 1)
        incarnation = msgspec.structs.replace(incarnation, acknowledged_sequence=before)
        start, stop = _range_of(incarnation)
    if incarnation.known_end:
        return incarnation  # nothing is added, and what is missing is told when it is emptied
    noticing = Noticing(incarnation.id, wall_us())
    for _ in range(_ASTRAY_MAX):
        last = engine.last(kv, start, stop)
        if last is None:
            return incarnation
        previous = engine.last(kv, start, last[0])
        sequence, total_bytes = incarnation.acknowledged_sequence, incarnation.acknowledged_bytes
        if previous is not None:
            sequence, total_bytes = keys.sequence_of(previous[0]), total_bytes_in(previous[1])
        gap, gap_bytes = keys.sequence_of(last[0]) - sequence, total_bytes_in(last[1]) - total_bytes
        if gap == 1 or 1 < gap < gap_bytes:
            return incarnation  # what may be missing before it is told once it is to be sent
        # One that belongs before the end leaves a gap there, which is told then.
        problem = "stands behind a gap"
        set_aside(kv, *last, problem, lost=noticing, is_counted=gap_bytes > 0)
    raise StoreDamaged("damage in the store: an outbox in disorder")


def sound_head(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> OutboxHead:
    """As `read_head`, with a sum of bytes that can be believed: the next entries add to it."""
    head = read_head(engine, kv, incarnation)
    start, stop = _range_of(incarnation)
    total_bytes = incarnation.acknowledged_bytes
    last = engine.last(kv, start, stop)
    if last is None:
        return head
    previous = engine.last(kv, start, last[0])
    if previous is not None:
        total_bytes = total_bytes_in(previous[1])
    if total_bytes + len(record_in(last[1])) != head.total_bytes:
        total_bytes = _summed(engine, kv, incarnation)
        return OutboxHead(head.sequence, head.chain, total_bytes)
    return head


def _summed(engine: KvEngine, kv: KvTransaction, incarnation: Incarnation) -> int:
    """Bytes of all records, added up one by one."""
    start, stop = _range_of(incarnation)
    total_bytes = incarnation.acknowledged_bytes
    while pairs := engine.scan(kv, start, stop, _SUMMED_AT_ONCE):
        total_bytes += sum(len(record_in(entry)) for _, entry in pairs)
        if len(pairs) < _SUMMED_AT_ONCE:
            break
        start = next_start(start, pairs)
    return total_bytes


def _range_of(incarnation: Incarnation) -> tuple[bytes, bytes]:
    """Where the keys of what waits start and stop."""
    return (
        keys.outbox_key(incarnation.ordinal, incarnation.acknowledged_sequence + 1),
        keys.outbox_key(incarnation.ordinal + 1, 0),
    )
