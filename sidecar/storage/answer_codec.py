"""Stored answers on disk: their bytes, and what is stored of their partitions.

An answer ends in the id of its record, which is the incarnation's id and a sequence. Version 2
keeps the incarnation's ordinal and the sequence in its place, half of the digest, and no expiry,
since its partition has one: a third less room. The answer comes back as it was, byte by byte.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

import msgspec

from sidecar.shared.protobuf_wire import read_varint, varint
from sidecar.storage.damage import StoreDamaged, reads

DIGEST_BYTES: Final = 8
"""What is kept of a payload's digest: enough to tell a mistake."""
NO_PARTITION: Final = 0
"""The partition of answers that an earlier format kept without one."""
_VERSION: Final = 2
_WHOLE: Final = 1
"""Version of an answer that was kept as a whole, with its expiry and a digest of 16 bytes: up to
format 4."""
_VERSION_BYTE: Final = bytes([_VERSION])
_WHOLE_HEAD = struct.Struct("<Bq16s")
_NUMBERS_FROM: Final = 1 + DIGEST_BYTES


class StoredAnswer(msgspec.Struct, frozen=True, gc=False):
    """The answer that a retry gets: opaque bytes, and what is kept of the payload's digest."""

    digest: bytes
    answer: bytes

    def is_of(self, digest: bytes) -> bool:
        """Whether it answers the payload with this digest."""
        return digest.startswith(self.digest)


class Partitions(msgspec.Struct, frozen=True):
    """The partitions of stored answers: the current one, the one before, one that is going.

    `since_us`: when the current one began; 0: not known yet. `previous_over_us`: by then all of
    the previous one was kept as long as promised. Bytes are estimates of the room that each takes.
    Ordinals are of the incarnations under which a partition began. `going_early`: before that.
    `complete_from_us`: of what was answered since, nothing is forgotten before its time.
    """

    current: int = NO_PARTITION + 1
    since_us: int = 0
    size_bytes: int = 0
    ordinal: int = 0
    previous: int | None = None
    previous_over_us: int = 0
    previous_bytes: int = 0
    previous_ordinal: int = 0
    going: int | None = None
    going_bytes: int = 0
    going_early: bool = False
    complete_from_us: int = 0


def encode_answer(
    digest: bytes, answer: bytes, ordinal: int, sequence: int, id_bytes: int
) -> bytes:
    """Bytes of an answer that ends in the id of a record, of `id_bytes`, of an incarnation."""
    return b"%b%b%b%b%b" % (
        _VERSION_BYTE,
        digest[:DIGEST_BYTES],
        varint(ordinal),
        varint(sequence),
        answer[:-id_bytes],
    )


@reads("a stored answer")
def decode_answer(data: bytes, names: Mapping[int, str]) -> StoredAnswer | None:
    """A stored answer; `None` where its incarnation's id is not known any more.

    `names`: the ids of incarnations, by ordinal.
    """
    version = data[0]
    if version == _WHOLE:
        _, _, digest = _WHOLE_HEAD.unpack_from(data)
        return StoredAnswer(digest, data[_WHOLE_HEAD.size :])
    if version != _VERSION:
        raise StoreDamaged(f"damage in the store: an answer of version {version}")
    ordinal, position = read_varint(data, _NUMBERS_FROM)
    sequence, position = read_varint(data, position)
    name = names.get(ordinal)
    if name is None:
        return None
    answer = data[position:] + f"{name}-{sequence}".encode()
    return StoredAnswer(data[1:_NUMBERS_FROM], answer)
