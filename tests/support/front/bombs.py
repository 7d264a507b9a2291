"""Small things that cost whoever unpacks them much."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Sequence
from typing import Final

import hpack

from sidecar.front.frames import END_HEADERS, HEADERS, frame
from tests.support.front.peer import request_fields

_ORDER: Final = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
"""In which code lengths of a dynamic block's own code are told (RFC 1951, 3.2.7)."""
_HEAD_BYTES: Final = 10


def gzip_of_nothing(blocks: int) -> bytes:
    """A gzip message of blocks that describe a code and then hold nothing: it never ends.

    Each takes 11 bytes, and as long to read as some hundred bytes of usual content.
    """
    bits = "0" + "01"  # not the last block; a code of its own
    bits += _number(0, 5) + _number(0, 5) + _number(len(_ORDER) - 4, 4)
    bits += "".join(_number(1 if symbol in (1, 18) else 0, 3) for symbol in _ORDER)
    # Lengths of 258 codes, run by run: 256 without one, then the end of the block and a distance.
    bits += "1" + _number(138 - 11, 7) + "1" + _number(118 - 11, 7) + "0" + "0"
    bits += "0"  # the end of the block
    text = bits * blocks
    size = len(text) // 8
    return gzip.compress(b"")[:_HEAD_BYTES] + int(text[::-1], 2).to_bytes(size + 1, "little")[:size]


def gzip_bomb(size: int) -> bytes:
    """A gzip message of so many zeros."""
    compressor = zlib.compressobj(9, zlib.DEFLATED, 31)
    return compressor.compress(bytes(size)) + compressor.flush()


def reference_bomb(path: str, value_bytes: int, references: int) -> tuple[bytes, bytes]:
    """Header blocks: one puts a long field into the table, one refers to it again and again."""
    encoder = hpack.Encoder()
    field = ("x-bomb", "y" * value_bytes)
    block = encoder.encode([*request_fields(path), field])
    reference = encoder.encode([field])
    assert 1 == len(reference)
    return block, encoder.encode(request_fields(path)) + reference * references


def many_fields(path: str, count: int, streams: Iterable[int]) -> bytes:
    """Requests whose heads have many small fields, all in the table: a byte or two each."""
    encoder = hpack.Encoder()
    more: Sequence[tuple[str, str]] = [(f"a{number}", "") for number in range(count)]
    block = encoder.encode([*request_fields(path), *more], huffman=False)
    return b"".join(frame(HEADERS, END_HEADERS, number, block) for number in streams)


def _number(value: int, bits: int) -> str:
    """A number as deflate spells it: the least significant bit first."""
    return "".join(str(value >> at & 1) for at in range(bits))
