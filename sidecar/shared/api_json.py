"""API messages as JSON for scripts, and their times as integers.

The JSON follows protobuf's own mapping with three differences that scripts are thankful for:
integers are numbers, exact to the last digit; names are those of the .proto files; and enum values
come without the prefix (`HARD`). What is absent is `null`, so every key is always there.
"""

from __future__ import annotations

import re
from typing import Any, Final, cast

from google.protobuf.descriptor import EnumDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.domain.time.units import SECOND_US

_WORD_START: Final = re.compile(r"(?<!^)(?=[A-Z])")


def json_of_message(message: Message) -> dict[str, object]:
    """Return a message as what `json.dumps` takes."""
    return {field.name: _field(message, field) for field in message.DESCRIPTOR.fields}


def instant_of(timestamp: Timestamp) -> int:
    """Return a timestamp in microseconds since the epoch."""
    return timestamp.seconds * SECOND_US + timestamp.nanos // 1000


def enum_name(descriptor: EnumDescriptor, value: int) -> str | int | None:
    """Return the name without its prefix, `None` for "not set", the number of one not known."""
    if value == 0:
        return None
    known = descriptor.values_by_number.get(value)
    if known is None:  # the server is newer
        return value
    return known.name.removeprefix(_WORD_START.sub("_", descriptor.name).upper() + "_")


def _field(message: Message, field: Any) -> object:
    """Return one field's value; `field` is its FieldDescriptor, which the types know in halves."""
    held = getattr(message, field.name)
    if field.is_repeated:
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            value = field.message_type.fields_by_name["value"]
            return {key: _value(value, held[key]) for key in sorted(held)}
        return [_value(field, item) for item in held]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _value(field, held)


def _value(field: Any, held: Any) -> object:
    if isinstance(held, Timestamp | Duration):
        return held.ToJsonString()
    if isinstance(held, Message):
        return json_of_message(held)
    if field.enum_type is not None:
        return enum_name(field.enum_type, held)
    if isinstance(held, bytes):
        return held.hex()
    return cast("object", held)
