"""Values of the port to columns of SQLite and back."""

from __future__ import annotations

from typing import Final, TypeAlias
from uuid import UUID

import msgspec

from sidecar.control.storage.values import PLANE, CounterKey
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog import Catalog, Company
from sidecar.domain.counters import CounterRef
from sidecar.domain.windows import Window

CounterColumns: TypeAlias = tuple[str, str, int, int, str, str]

_PLANE_BYTES: Final = bytes(16)

_encoder: Final = msgspec.json.Encoder()
_catalogs: Final = msgspec.json.Decoder(Catalog)
_companies: Final = msgspec.json.Decoder(Company)
_values: Final = msgspec.json.Decoder(tuple[str, ...])


def incarnation_column(incarnation: str) -> bytes:
    """16 bytes for a UUID; `ValueError` for what is neither one nor the plane."""
    return _PLANE_BYTES if incarnation == PLANE else UUID(incarnation).bytes


def incarnation_text(column: bytes) -> str:
    """The UUID of a column in canonical text."""
    return PLANE if column == _PLANE_BYTES else str(UUID(bytes=column))


def document(value: Catalog | Company) -> bytes:
    """A value as JSON."""
    return _encoder.encode(value)


def catalog(column: bytes) -> Catalog:
    """The catalog of a document."""
    return _catalogs.decode(column)


def company(column: bytes) -> Company:
    """The company of a document."""
    return _companies.decode(column)


def counter_columns(key: CounterKey) -> CounterColumns:
    """The key columns of a counter, in the order of the primary key."""
    window = key.counter.window
    values = _encoder.encode(key.counter.values).decode() if key.counter.values else "[]"
    return (key.company, key.feature, window.end_us, window.start_us, key.counter.slot, values)


def counter_ref(end_us: int, start_us: int, slot: str, values: str) -> CounterRef:
    """The counter that key columns name within its company and feature."""
    return CounterRef(slot, _values.decode(values), Window(start_us, end_us))


def saturated(number: int) -> int:
    """The nearest number from -INT64_MAX to INT64_MAX: SQL can write both."""
    return max(-INT64_MAX, min(number, INT64_MAX))
