"""What stores of earlier formats keep in another form, brought into today's when they are opened.

The rest of an old store is read as it is, and written anew bit by bit.
"""

from __future__ import annotations

from typing import Final

from sidecar.storage import codec, keys
from sidecar.storage.answer_codec import NO_PARTITION, Partitions
from sidecar.storage.codec import Incarnation, Tally
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvEngine, KvTransaction

_TALLIES_UP_TO_2: Final = b"mtallies/"
_PARTITIONS_MAX: Final = 3
"""The current one, the one before, and one that is being removed."""
_WRAPPED: Final = 256
"""The partition whose number is 0 in its keys."""
_LEFT_MAX: Final = 1_000
"""More than there are incarnations, of which each may have left one."""


def take_over_tallies(engine: KvEngine, kv: KvTransaction, present: Incarnation) -> None:
    """Give each tally a key of its own; up to format 2 those of an incarnation were one value."""
    for key, data in engine.scan(kv, _TALLIES_UP_TO_2, keys.after(_TALLIES_UP_TO_2), _LEFT_MAX):
        kv.delete(key)
        if key == b"%b%d" % (_TALLIES_UP_TO_2, present.ordinal):
            for feature, tally in codec.decode_value(data, dict[str, Tally]).items():
                kv.put(keys.tally_key(present.ordinal, feature), codec.encode_tally(tally))


def take_over_answers(engine: KvEngine, kv: KvTransaction) -> Partitions:
    """The partitions of stored answers; up to format 4 answers had none, and are the previous one.

    What is not kept yet is what it would be, so that on a full disk nothing needs to be written.
    """
    data = kv.get(keys.META_ANSWERS)
    try:
        if data is not None:
            return codec.decode_value(data, Partitions)
    except StoreDamaged:
        return _partitions_found(engine, kv)
    start = keys.UNPARTITIONED_ANSWERS
    is_old = bool(engine.scan(kv, start, keys.after(start), 1))
    return Partitions(previous=NO_PARTITION) if is_old else _partitions_found(engine, kv)


def _partitions_found(engine: KvEngine, kv: KvTransaction) -> Partitions:
    """The partitions that there are answers in, where nothing is noted of them that can be read.

    The newest goes on: a process that is killed again and again, before it has noted anything,
    must forget nothing.
    """
    start, stop = keys.ANSWERS, keys.after(keys.ANSWERS)
    found: list[int] = []
    while len(found) < _PARTITIONS_MAX and (pairs := engine.scan(kv, start, stop, 1)):
        found.append(keys.partition_of(pairs[0][0]) or _WRAPPED)
        start = keys.after(keys.answers_of(found[-1]))
    if not found:
        return Partitions()
    *older, current = found
    previous = older[-1] if older else None
    return Partitions(current=current, previous=previous, going=older[0] if older[1:] else None)
