"""Messages with a few fields that say something else: extremes, odd names, too many, too few."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Final

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

INT64_MAX: Final = (1 << 63) - 1
WHOLE_NUMBERS: Final = (0, 1, 2, -1, 7, 1 << 31, 1 << 53, 1 << 62, INT64_MAX, -INT64_MAX - 1)
INT32S: Final = (0, 1, -1, 7, 4_000, (1 << 31) - 1, -(1 << 31))
NAMES: Final = (
    "",
    "acme",
    "acme\0x",
    "two\nlines",
    " outer ",
    "\u202eemca",
    "e\u0301\u200d",
    "\U0001f468\u200d\U0001f469",
    "\u0378",
    "é" * 65,
    "x" * 129,
    "x" * 5_000,
)
REPEATED_MAX: Final = 2_000
"""Elements of a list that is made long; an answer stays below the bound of a message."""

_STRING: Final = FieldDescriptor.CPPTYPE_STRING
_MESSAGE: Final = FieldDescriptor.CPPTYPE_MESSAGE
_INT32: Final = (FieldDescriptor.CPPTYPE_INT32, FieldDescriptor.CPPTYPE_UINT32)
_INT64: Final = (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_UINT64)


def mutate(rng: random.Random, message: Message, fields: int = 1) -> None:
    """Change so many fields, at any depth."""
    for _ in range(fields):
        field: Any = rng.choice(message.DESCRIPTOR.fields)
        _change(rng, message, field)


def garbled(rng: random.Random, data: bytes) -> bytes:
    """The same bytes with accidents: flipped bits, a cut, some bytes that come twice or are new."""
    found = bytearray(data or b"\0")
    for _ in range(rng.choice((1, 1, 2, 8))):
        at = rng.randrange(len(found))
        kind = rng.randrange(4)
        if kind == 0:
            found[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            del found[at + 1 :]
        elif kind == 2:
            found[at:at] = found[at : at + 40]
        else:
            found[at : at + 4] = rng.randbytes(4)
    return bytes(found)


def _change(rng: random.Random, message: Message, field: FieldDescriptor) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        message.ClearField(field.name)
    elif field.is_repeated:
        _change_list(rng, getattr(message, field.name), field)
    elif field.cpp_type != _MESSAGE:
        setattr(message, field.name, _value(rng, field))
    elif rng.random() < 0.2:
        message.ClearField(field.name)
    else:
        # An absent one comes to be, as nothing or with a field.
        getattr(message, field.name).SetInParent()
        mutate(rng, getattr(message, field.name))


def _change_list(rng: random.Random, items: Any, field: FieldDescriptor) -> None:
    kind = rng.randrange(5)
    if kind == 0 or not len(items):
        _append(rng, items, field)
    elif kind == 1:
        del items[:]
    elif kind == 2:
        del items[rng.randrange(len(items))]
    elif kind == 3:
        many = [items[rng.randrange(len(items))]] * rng.choice((2, 3, REPEATED_MAX))
        items.extend(many)
    elif field.cpp_type == _MESSAGE:
        mutate(rng, items[rng.randrange(len(items))])
    else:
        items[rng.randrange(len(items))] = _value(rng, field)


def _append(rng: random.Random, items: Any, field: FieldDescriptor) -> None:
    if field.cpp_type == _MESSAGE:
        mutate(rng, items.add(), 2)
    else:
        items.append(_value(rng, field))


def _value(rng: random.Random, field: FieldDescriptor) -> object:
    if field.type == FieldDescriptor.TYPE_BYTES:
        return rng.randbytes(rng.choice((0, 1, 31, 32, 33, 5_000)))
    if field.cpp_type == _STRING:
        return rng.choice(NAMES)
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return rng.random() < 0.5
    numbers: Sequence[int] = WHOLE_NUMBERS
    if field.cpp_type in _INT32 or field.cpp_type == FieldDescriptor.CPPTYPE_ENUM:
        numbers = INT32S
    elif field.cpp_type not in _INT64:
        return rng.choice((0.0, -1.0, float("inf"), float("nan")))
    is_unsigned = field.cpp_type in (FieldDescriptor.CPPTYPE_UINT32, FieldDescriptor.CPPTYPE_UINT64)
    number = rng.choice(numbers)
    return abs(number) if is_unsigned else number
