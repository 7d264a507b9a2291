"""Finds the field at fault in a message that does not parse, so that the error can name it.

Only looked at once parsing has failed: a walk over the wire format along the descriptor, in search
of a string that is not UTF-8.
"""

from __future__ import annotations

from typing import Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from sidecar.shared import protobuf_wire

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
        tag, position = protobuf_wire.read_varint(data, position)
        number, wire_type = tag >> 3, tag & 7
        if wire_type != protobuf_wire.DELIMITED:
            position = protobuf_wire.skip(wire_type, data, position)
            continue
        size, position = protobuf_wire.read_varint(data, position)
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


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
