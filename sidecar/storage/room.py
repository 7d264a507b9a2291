"""The room that is left, and whom it is for: records first.

An eighth of what the store can have is reserved for records. Where that is touched, answers for
retries go; where half of it is gone none is kept, and with a quarter left no snapshot is taken.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.errors import Exhausted
from sidecar.storage.kv_engine import KvEngine

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
