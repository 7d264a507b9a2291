"""How far the control plane was followed, as it is kept.

What a program could not read when it was told is not told again by itself: a later one, which reads
more, follows from the start. `READS` grows with what is read of catalogs and companies.
"""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.storage import codec, keys
from sidecar.storage.kv_engine import KvTransaction

READS: Final = 1
"""1: features of CREDITS, SEATS and LEVEL, what usage costs, and companies' grants of credits."""


class WatchPosition(msgspec.Struct, frozen=True):
    """How far the control plane was followed: its state's identity, and the revision in it."""

    epoch: str = ""
    revision: int = 0


class KeptPosition(msgspec.Struct, frozen=True):
    """A position, and what the program read that wrote it."""

    epoch: str
    revision: int
    reads: int = 0


class Staged(msgspec.Struct, frozen=True):
    """That the switch is behind what is staged, and where it leads to."""

    position: KeptPosition | None


def position_of(kv: KvTransaction) -> WatchPosition:
    """How far it was followed by what this program reads."""
    data = kv.get(keys.META_POSITION)
    return WatchPosition() if data is None else decode_position(data)


def decode_position(data: bytes) -> WatchPosition:
    """The same of what is kept; the start where that was written by one that read less."""
    kept = codec.decode_value(data, KeptPosition)
    return WatchPosition(kept.epoch, kept.revision if kept.reads >= READS else 0)


def put_position(kv: KvTransaction, position: WatchPosition | None) -> None:
    """Keep a position; `None` leaves it as it is."""
    if position is not None:
        _put(kv, _kept(position))


def put_staged(kv: KvTransaction, position: WatchPosition | None) -> None:
    """Keep that what is staged is to be moved into place, and the position that it leads to."""
    staged = Staged(None if position is None else _kept(position))
    kv.put(keys.META_STAGED, codec.encode_value(staged))


def is_staged(kv: KvTransaction) -> bool:
    """Whether something is to be moved into place: it is what is to be seen, by now."""
    return kv.get(keys.META_STAGED) is not None


def reach_staged(kv: KvTransaction) -> None:
    """What is staged has been moved into place: the position that it leads to is reached."""
    data = kv.get(keys.META_STAGED)
    assert data is not None
    position = codec.decode_value(data, Staged).position
    if position is not None:
        _put(kv, position)
    kv.delete(keys.META_STAGED)


def _kept(position: WatchPosition) -> KeptPosition:
    return KeptPosition(position.epoch, position.revision, READS)


def _put(kv: KvTransaction, kept: KeptPosition) -> None:
    kv.put(keys.META_POSITION, codec.encode_value(kept))
