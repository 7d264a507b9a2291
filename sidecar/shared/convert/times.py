"""Microseconds to `google.protobuf.Timestamp` and `Duration`, and back."""

from __future__ import annotations

from typing import Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.units import SECOND_US
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US
from sidecar.shared.convert._checks import below

_NANOS_OF_US: Final = 1000
_NANOS_MAX: Final = 999_999_999


def timestamp(instant_us: int) -> Timestamp:
    """An instant, as a message."""
    seconds, fraction_us = divmod(instant_us, SECOND_US)
    return Timestamp(seconds=seconds, nanos=fraction_us * _NANOS_OF_US)


def timestamp_or_none(instant_us: int | None) -> Timestamp | None:
    """An instant as a message; `None`, BEGINNING_US and FOREVER_US are absent from messages."""
    if instant_us in (BEGINNING_US, FOREVER_US):
        return None
    return optional_timestamp(instant_us)


def optional_timestamp(instant_us: int | None) -> Timestamp | None:
    """An instant as a message, absent where there is none."""
    return None if instant_us is None else timestamp(instant_us)


def instant(message: Timestamp, field: str) -> int:
    """The instant of a message in microseconds; finer parts are cut off.

    Raises `InvalidInput` outside the years 2 to 9998, which windows keep to.
    """
    if not 0 <= message.nanos <= _NANOS_MAX:
        raise InvalidInput(field, f"nanos must be 0 to {_NANOS_MAX}, is {message.nanos}")
    instant_us = message.seconds * SECOND_US + message.nanos // _NANOS_OF_US
    if not FIRST_INSTANT_US <= instant_us < END_INSTANT_US:
        raise InvalidInput(field, "must lie in the years 2 to 9998")
    return instant_us


def required_instant(message: Message, name: str, field: str) -> int:
    """The instant in a field of a message; `InvalidInput` where it is absent."""
    instant_us = optional_instant(message, name, field)
    if instant_us is None:
        raise InvalidInput(below(field, name), "must be set")
    return instant_us


def optional_instant(message: Message, name: str, field: str) -> int | None:
    """The instant in a field of a message; `None` where it is absent."""
    if not message.HasField(name):
        return None
    return instant(getattr(message, name), below(field, name))


def duration(length_us: int) -> Duration:
    """A length of time of 0 or more, as a message."""
    seconds, fraction_us = divmod(length_us, SECOND_US)
    return Duration(seconds=seconds, nanos=fraction_us * _NANOS_OF_US)


def duration_us(message: Duration, field: str) -> int:
    """The length of time of a message in microseconds; finer parts are cut off.

    Raises `InvalidInput` below 0.
    """
    if message.seconds < 0 or not 0 <= message.nanos <= _NANOS_MAX:
        raise InvalidInput(field, f"must not be negative, with nanos of 0 to {_NANOS_MAX}")
    return message.seconds * SECOND_US + message.nanos // _NANOS_OF_US
