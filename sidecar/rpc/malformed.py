"""Finds the field at fault in a message that does not parse, so that the error can name it.

Only looked at once parsing has failed: a walk over the wire format along the descriptor, in search
of a string that is not UTF-8.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

_VARINT: Final = 0
_FIXED64: Final = 1
_DELIMITED: Final = 2
_FIXED32: Final = 5
_DEPTH_MAX: Final = 8


def malformed_field(descriptor: Descriptor, data: bytes) -> str:
    """Path of the first string field that is not UTF-8, such as `checks[2].company`; else empty."""
    try:
        return _search(descriptor, data, _DEPTH_MAX)
    except (IndexError, ValueError):
        return ""


def _search(descriptor: Descriptor, data: bytes, depth: int) -> str:
    position = 0
    counts: dict[int, int] = {}
    while position < len(data) and depth > 0:
        tag, position = _varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type != _DELIMITED:
            position = _skip(wire_type, data, position)
            continue
        size, position = _varint(data, position)
        value, position = data[position : position + size], position + size
        if position > len(data):
            raise ValueError("cut short")
        field = descriptor.fields_by_number.get(number)
        if field is None:
            continue
        index = counts.get(number, 0)
        counts[number] = index + 1
        path = f"{field.name}[{index}]" if field.is_repeated else field.name
        if field.type == FieldDescriptor.TYPE_STRING and not _is_utf8(value):
            return path
        if field.message_type is not None:
            inner = _search(field.message_type, value, depth - 1)
            if inner:
                is_map = field.message_type.GetOptions().map_entry
                return field.name if is_map else f"{path}.{inner}"
    return ""


def _varint(data: bytes, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7
        if shift > 63:
            raise ValueError("a varint of more than ten bytes")


def _skip(wire_type: int, data: bytes, position: int) -> int:
    if wire_type == _VARINT:
        return _varint(data, position)[1]
    if wire_type == _FIXED64:
        return position + 8
    if wire_type == _FIXED32:
        return position + 4
    raise ValueError("a wire type that proto3 does not have")


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
