"""Protobuf's wire format, by hand: its primitives, for the few messages that are written so.

See "Encoding" in Protocol Buffers' documentation. A tag is the bytes of a field's number and wire
type, such as 0x0a for field 1 with a length in front.
"""

from __future__ import annotations

from typing import Final

VARINT: Final = 0
FIXED64: Final = 1
DELIMITED: Final = 2
FIXED32: Final = 5

_VARINT_BITS_MAX: Final = 63
SMALL: Final = tuple(bytes([number]) for number in range(0x80))
"""Numbers of one byte, ready."""


def varint(number: int) -> bytes:
    """A number from 0 to 2^64-1."""
    if number < 0x80:
        return SMALL[number]
    low, high = number & 0x7F | 0x80, number >> 7
    if high < 0x80:
        return b"%c%c" % (low, high)
    if high < 0x4000:
        return b"%c%c%c" % (low, high & 0x7F | 0x80, high >> 7)
    # Three bytes at once: amounts are large, and a byte at a time is felt on the path of a check.
    middle, rest = high >> 7, high >> 14
    return b"%c%c%c%b" % (low, high & 0x7F | 0x80, middle & 0x7F | 0x80, varint(rest))


def delimited(tag: bytes, data: bytes) -> bytes:
    """A field of bytes, text, or a message that is encoded already."""
    size = len(data)
    if size < 0x80:
        return b"%b%c%b" % (tag, size, data)
    return b"%b%b%b" % (tag, varint(size), data)


def text(tag: bytes, value: str) -> bytes:
    """A field of text."""
    return delimited(tag, value.encode())


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """The number at a position, and the position behind it.

    Raises `IndexError` where the data ends within it, `ValueError` where it has no end.
    """
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > _VARINT_BITS_MAX:
            raise ValueError("a varint of more than ten bytes")


def skip(wire_type: int, data: bytes, position: int) -> int:
    """The position behind a value without a length in front. Raises as `read_varint` does."""
    if wire_type == VARINT:
        return read_varint(data, position)[1]
    if wire_type == FIXED64:
        return position + 8
    if wire_type == FIXED32:
        return position + 4
    raise ValueError("a wire type that proto3 does not have")
