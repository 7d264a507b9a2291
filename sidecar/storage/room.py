"""The room that is left, and whom it is for: records first.

An eighth of what the store can have is reserved for records. Where that is touched, answers for
retries go; where half of it is gone none is kept, and with a quarter left no snapshot is taken.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.errors import Exhausted
from sidecar.storage.kv_engine import KvEngine

STEP_BYTES_MAX: Final = 64 << 10
"""By so much a step's record, answer and counters may enlarge the store."""
_RESERVE_DIVISOR: Final = 8
"""By default 512 MiB are reserved: more than as many records need as may wait."""


def reserve_bytes(engine: KvEngine) -> int:
    """What is reserved for records: a part of the bound, or of what a full disk has given."""
    return (engine.used_bytes() + engine.room_bytes()) // _RESERVE_DIVISOR


def is_touched(engine: KvEngine) -> bool:
    """Whether the reserve is touched."""
    return engine.room_bytes() < reserve_bytes(engine)


def takes_answers(engine: KvEngine) -> bool:
    """Whether there is room for answers."""
    return engine.room_bytes() >= reserve_bytes(engine) // 2


def require_room_for_snapshots(engine: KvEngine) -> None:
    """Raise `Exhausted` where what is left is for records alone."""
    if engine.room_bytes() < reserve_bytes(engine) // 4:
        raise Exhausted("", "what room the store has is reserved for records", "STORE_FULL")


def require_room_for_records(engine: KvEngine, *, again: bool) -> None:
    """Raise `Exhausted` where there is no room for more; `again`: where there was none before.

    Then there has to be some more: whoever says so should not flutter.
    """
    if engine.room_bytes() < STEP_BYTES_MAX * (2 if again else 1):
        raise no_room()


def no_room() -> Exhausted:
    """The error where there is no room for a record."""
    return Exhausted("", "the store has reached its size bound, or its disk is full", "STORE_FULL")
