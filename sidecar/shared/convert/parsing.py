"""Parsing large messages in slices.

Fields that follow one another on the wire may be parsed piece by piece: pieces merge. A message
that is a single field of another is cut within, the elements of a repeated field are not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from google.protobuf.message import DecodeError, Message

from sidecar.domain.slices import Slices

M = TypeVar("M", bound=Message)

PIECE_BYTES: Final = 1 << 12
"""Bytes of a piece, beyond its first field, and of one slice."""
_VARINT_BITS_MAX: Final = 64
_VARINT, _FIXED_64, _DELIMITED, _FIXED_32 = 0, 1, 2, 5
_FIXED_BYTES: Final = {_FIXED_64: 8, _FIXED_32: 4}


class _Field(NamedTuple):
    """A field on the wire: [start, end), of which [body, end) is what it holds."""

    number: int
    kind: int
    start: int
    body: int
    end: int


def parsed_in_slices(kind: type[M], data: bytes) -> Slices[M]:
    """The message that the bytes hold. Raises `DecodeError` where they hold none."""
    message = kind()
    yield from _merge(message, memoryview(data))
    return message


def apart_in_slices(kind: type[M], data: bytes, name: str) -> Slices[tuple[M, list[bytes]]]:
    """The message without one of its repeated fields of messages, and that field's elements.

    Those stay encoded, to be looked at one by one. Raises as `parsed_in_slices` does.
    """
    number = kind.DESCRIPTOR.fields_by_name[name].number
    view = memoryview(data)
    elements: list[bytes] = []
    rest: list[memoryview] = []
    for field in _fields(view):
        if field.number == number and field.kind == _DELIMITED:
            elements.append(bytes(view[field.body : field.end]))
        else:
            rest.append(view[field.start : field.end])
        yield
    message = kind()
    yield from _merge(message, memoryview(b"".join(rest)))
    return message, elements


def first_text(data: bytes, number: int) -> str:
    """The first text in a field of an encoded message; empty where there is none."""
    return next(texts(data, number), "")


def texts(data: bytes, number: int) -> Iterator[str]:
    """The texts in a field of an encoded message, up to where it cannot be read."""
    view = memoryview(data)
    try:
        for field in _fields(view):
            if field.number == number and field.kind == _DELIMITED:
                yield bytes(view[field.body : field.end]).decode()
    except (DecodeError, UnicodeDecodeError):
        pass


def _merge(message: Message, data: memoryview) -> Slices[None]:
    singular = {
        field.number: field.name
        for field in message.DESCRIPTOR.fields
        if field.message_type is not None and not field.is_repeated
    }
    start = 0
    for field in _fields(data):
        name = singular.get(field.number)
        if name is not None and field.end - field.body > PIECE_BYTES:
            message.MergeFromString(bytes(data[start : field.start]))
            within = getattr(message, name)
            within.SetInParent()
            yield from _merge(within, data[field.body : field.end])
            start = field.end
        elif field.end - start > PIECE_BYTES:
            message.MergeFromString(bytes(data[start : field.end]))
            for _ in range(start, field.end, 1 + PIECE_BYTES):
                yield
            start = field.end
    message.MergeFromString(bytes(data[start:]))


def _fields(data: memoryview) -> Iterator[_Field]:
    start = 0
    while start < len(data):
        tag, body = _varint(data, start)
        kind = tag & 7
        if kind == _DELIMITED:
            size, body = _varint(data, body)
            end = body + size
        elif kind == _VARINT:
            _, end = _varint(data, body)
        elif kind in _FIXED_BYTES:
            end = body + _FIXED_BYTES[kind]
        else:
            raise DecodeError(f"a field of wire type {kind}")
        if end > len(data):
            raise DecodeError("a field ends behind the message")
        yield _Field(tag >> 3, kind, start, body, end)
        start = end


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number, and where it ends."""
    number = 0
    for shift in range(0, _VARINT_BITS_MAX, 7):
        if at >= len(data):
            break
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise DecodeError("a number does not end")
