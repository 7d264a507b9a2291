"""Huffman-coded strings (RFC 7541, 5.2), decoded a byte at a time.

The `hpack` library's table steps by half bytes. Two of its steps are put together here the first
time that they are needed: what clients spell in Huffman code are mostly digits and letters.
"""

from __future__ import annotations

from typing import Final

from hpack import HPACKDecodingError
from hpack.huffman_table import (
    HUFFMAN_COMPLETE,
    HUFFMAN_EMIT_SYMBOL,
    HUFFMAN_FAIL,
    HUFFMAN_TABLE,
)

# By state << 8 | byte: the state after it (-1: none), the characters that it completes, and whether
# a string may end there. There are 65,536 at most.
_steps: Final[dict[int, tuple[int, bytes, bool]]] = {}


def decode(data: bytes) -> bytes:
    """The decoded string. Raises HPACKDecodingError for what is not Huffman code."""
    state, complete = 0, True
    parts: list[bytes] = []
    steps = _steps
    for byte in data:
        step = steps.get(state | byte)
        if step is None:
            step = steps[state | byte] = _step(state >> 8, byte)
        state, characters, complete = step
        if state < 0:
            raise HPACKDecodingError("invalid Huffman string")
        parts.append(characters)
    if not complete:
        raise HPACKDecodingError("incomplete Huffman string")
    return b"".join(parts)


def _step(state: int, byte: int) -> tuple[int, bytes, bool]:
    """Two of the library's steps. The state that it gives is shifted, ready for the next byte."""
    characters = bytearray()
    flags = 0
    for half in (byte >> 4, byte & 0x0F):
        state, flags, character = HUFFMAN_TABLE[state * 16 + half]
        if flags & HUFFMAN_FAIL:
            return -1, b"", False
        if flags & HUFFMAN_EMIT_SYMBOL:
            characters.append(character)
    return state << 8, bytes(characters), bool(flags & HUFFMAN_COMPLETE)
