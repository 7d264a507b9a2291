"""What is asked: a check, and the rules that every request obeys."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from hashlib import sha256
from typing import Final

import msgspec

from sidecar.domain.bounds import (
    DIMENSION_KEY_BYTES_MAX,
    DIMENSION_VALUE_BYTES_MAX,
    DIMENSIONS_MAX,
    EVENT_FUTURE_US_MAX,
    EVENT_PAST_US_MAX,
    METADATA_BYTES_MAX,
)
from sidecar.domain.errors import InvalidInput, OutOfRange
from sidecar.domain.limits.reasons import GrantMode
from sidecar.domain.text import NEW_NAMES

NO_ATTRIBUTES: Mapping[str, str] = {}
# Digests are stored and sent: what they were made of stays, whatever the modes are called.
_MODE_NAMES: Final = ("", "ALL_OR_NOTHING", "UP_TO", "REGARDLESS")


class Check(msgspec.Struct, frozen=True):
    """A request to decide about, and perhaps count, a quantity in the feature's unit.

    `event_time_us`: microseconds since the Unix epoch. `idempotency_key`: empty for none.
    """

    company: str
    feature: str
    quantity: int
    event_time_us: int
    mode: GrantMode = GrantMode.ALL_OR_NOTHING
    idempotency_key: str = ""
    dimensions: Mapping[str, str] = NO_ATTRIBUTES
    metadata: Mapping[str, str] = NO_ATTRIBUTES


def require_quantity(field: str, quantity: int) -> None:
    """0 or more, else `InvalidInput`; the wire type keeps it below 2^63."""
    if quantity < 0:
        raise InvalidInput(field, f"must be 0 or more, not {quantity}")


def require_event_time(field: str, at_us: int, now_us: int, machine_ahead_us: int = 0) -> None:
    """At most 35 days past and 5 minutes ahead, else `OutOfRange`.

    `machine_ahead_us`: how far the clock that callers stamp by is ahead of the time gone by.
    """
    if at_us < now_us - EVENT_PAST_US_MAX:
        raise OutOfRange(field, "is more than 35 days in the past")
    if at_us > now_us + machine_ahead_us + EVENT_FUTURE_US_MAX:
        raise OutOfRange(field, "is more than 5 minutes in the future")


def require_dimensions(field: str, dimensions: Mapping[str, str]) -> None:
    """At most 16, names to 64 bytes and values to 256, else `InvalidInput`."""
    if len(dimensions) > DIMENSIONS_MAX:
        raise InvalidInput(field, f"must have at most {DIMENSIONS_MAX} entries")
    everything = "".join([*dimensions, *dimensions.values()])
    if (
        len(everything) <= DIMENSION_KEY_BYTES_MAX  # then none of them is too long by itself
        and everything.isascii()
        and everything.isprintable()
        and " " not in everything
        and "" not in dimensions
    ):
        return
    for key, value in dimensions.items():
        if not key:
            raise InvalidInput(field, "must not have an empty key")
        problem = NEW_NAMES.problem(key, DIMENSION_KEY_BYTES_MAX)
        if problem is not None:
            raise InvalidInput(field, f"a key {problem}")
        problem = NEW_NAMES.problem(value, DIMENSION_VALUE_BYTES_MAX)
        if problem is not None:
            raise InvalidInput(f"{field}[{key}]", problem)


def require_metadata(field: str, metadata: Mapping[str, str]) -> None:
    """Keys and values at most 4,096 bytes of UTF-8 in all, else `InvalidInput`."""
    size = sum(len(key.encode()) + len(value.encode()) for key, value in metadata.items())
    if size > METADATA_BYTES_MAX:
        raise InvalidInput(field, f"must be at most {METADATA_BYTES_MAX} bytes of UTF-8 in all")


def payload_digest(check: Check) -> bytes:
    """What must be equal in a retry under the same idempotency key; 16 bytes."""
    return digest_of(check.feature, check.quantity, check.mode, check.dimensions)


def digest_of(feature: str, quantity: int, mode: GrantMode, dimensions: Mapping[str, str]) -> bytes:
    """The same, from its parts.

    SHA-256, cut, over feature, quantity, grant mode and dimensions. The event time is left out: a
    client that stamps a retry anew means the same usage. No text has control characters, so NUL
    keeps them apart.
    """
    if not dimensions:
        return plain_digest(feature, quantity, mode)
    text = f"{feature}\0{quantity}\0{_MODE_NAMES[mode]}"
    text += "".join([f"\0{name}\0{dimensions[name]}" for name in sorted(dimensions)])
    return sha256(text.encode()).digest()[:16]


@lru_cache(maxsize=4096)
def plain_digest(feature: str, quantity: int, mode: GrantMode) -> bytes:
    """The same without dimensions. It is kept, as most requests ask for much the same."""
    return sha256(f"{feature}\0{quantity}\0{_MODE_NAMES[mode]}".encode()).digest()[:16]
