"""Values of the port to columns of SQLite and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

import msgspec

from sidecar.control.storage.credit_values import EntryPart
from sidecar.control.storage.filling_values import CountedBy
from sidecar.control.storage.values import (
    CORRECTIONS,
    CounterKey,
    FieldOwner,
    RolloverTerms,
    RolloverWindow,
)
from sidecar.domain.capabilities import Capability
from sidecar.domain.catalog.model import Catalog
from sidecar.domain.company.model import (
    AddOnSpan,
    Company,
    CompanyGrant,
    CompanySnapshot,
    OverrideSpan,
    Phase,
    Segment,
)
from sidecar.domain.company.spans import snapshot_of
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import DataLoss
from sidecar.domain.limits.counters import CounterRef
from sidecar.domain.limits.packs import Carried
from sidecar.domain.time.windows import Window

CounterColumns: TypeAlias = tuple[str, str, int, int, str, str]
RolloverColumns: TypeAlias = tuple[str, str | None, bool, int | None]

T = TypeVar("T")

_PLANE_BYTES: Final = bytes(16)


class _Timeline(msgspec.Struct, frozen=True, omit_defaults=True):
    phases: tuple[Phase, ...]
    add_ons: tuple[AddOnSpan, ...] = ()
    overrides: tuple[OverrideSpan, ...] = ()
    names: tuple[str, ...] = ()
    credit_grants: tuple[CompanyGrant, ...] = ()


_encoder: Final = msgspec.json.Encoder()


def _reader(kind: type[T], what: str) -> Callable[[bytes | str], T]:
    """Reads what was written of a kind; raises `DataLoss` for what nobody wrote.

    SQLite sees damage in its pages, not in what they hold.
    """
    decode = msgspec.json.Decoder(kind).decode

    def read(column: bytes | str) -> T:
        try:
            return decode(column)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            text = f"{what} in the database is damaged: {error}"
            raise DataLoss("", text, "STORE_DAMAGED") from error

    return read


_catalog_of: Final = _reader(Catalog, "the catalog")
_company_of: Final = _reader(Company, "a company")
_timeline_of: Final = _reader(_Timeline, "a timeline")
_owners_of: Final = _reader(tuple[FieldOwner, ...], "what is said of a company's owners")
_segments_of: Final = _reader(tuple[Segment, ...], "a timeline")
_values_of: Final = _reader(tuple[str, ...], "a counter's name")
_carried_of: Final = _reader(tuple[int, ...] | Carried, "what a counter carries")  # type: ignore[arg-type]  # a union is no type
_terms_of: Final = _reader(RolloverTerms, "the terms of a rollover")
_counted_by_of: Final = _reader(CountedBy, "what is filled")
_credit_parts_of: Final = _reader(tuple[EntryPart, ...], "what was done with credits")
_wanted_of: Final = _reader(tuple[CountedBy, ...], "what is to be filled")


def incarnation_column(incarnation: str) -> bytes:
    """16 bytes for a UUID; `ValueError` for what is neither one nor the plane."""
    return _PLANE_BYTES if incarnation == CORRECTIONS else UUID(incarnation).bytes


def incarnation_text(column: bytes) -> str:
    """The UUID of a column in canonical text."""
    return CORRECTIONS if column == _PLANE_BYTES else str(UUID(bytes=column))


def capabilities_column(capabilities: frozenset[Capability]) -> int:
    """A bit for each number of a capability."""
    return sum(1 << capability for capability in capabilities)


def capabilities(column: int) -> frozenset[Capability]:
    """The capabilities of a column; those of a newer version are left out."""
    return frozenset(capability for capability in Capability if column >> capability & 1)


def document(value: Catalog | Company) -> bytes:
    """A value as JSON."""
    return _encoder.encode(value)


def timeline_column(snapshot: CompanySnapshot) -> bytes:
    """A timeline as JSON: an object; up to schema 4 it was a list of segments."""
    return _encoder.encode(
        _Timeline(
            snapshot.phases,
            snapshot.add_ons,
            snapshot.overrides,
            snapshot.names,
            snapshot.credit_grants,
        )
    )


def owners_column(owners: tuple[FieldOwner, ...]) -> bytes | None:
    """Owners of a company's fields as JSON; `None` where all are the file's."""
    return _encoder.encode(owners) if owners else None


def owners(column: bytes | None) -> tuple[FieldOwner, ...]:
    """The owners of a column; `None` is also of a version before there were any."""
    return () if column is None else _owners_of(column)


def text_in_document(text: str) -> bytes:
    """How a text is written in documents."""
    return _encoder.encode(text)


def catalog(column: bytes) -> Catalog:
    """The catalog of a document."""
    return _catalog_of(column)


def company(column: bytes) -> Company:
    """The company of a document."""
    return _company_of(column)


def snapshot(
    company_id: str, revision: int, timeline: bytes | None, document: bytes = b""
) -> CompanySnapshot:
    """What sidecars get of a company; where no timeline was stored, what its document says."""
    if timeline is None:
        return compile_snapshot(company(document), revision)
    if timeline.startswith(b"["):
        return snapshot_of(company_id, revision, _segments_of(timeline))
    read = _timeline_of(timeline)
    return CompanySnapshot(
        company_id,
        revision,
        read.phases,
        read.add_ons,
        read.overrides,
        read.names,
        read.credit_grants,
    )


def counter_columns(key: CounterKey) -> CounterColumns:
    """The key columns of a counter, in the order of the primary key."""
    window = key.counter.window
    values = _encoder.encode(key.counter.values).decode() if key.counter.values else "[]"
    return (key.company, key.feature, window.end_us, window.start_us, key.counter.slot, values)


def counter_ref(end_us: int, start_us: int, slot: str, values: str) -> CounterRef:
    """The counter that key columns name within its company and feature."""
    return CounterRef(slot, _values_of(values), Window(start_us, end_us))


def counter_row_key(
    company_id: str, feature: str, end_us: int, start_us: int, slot: str, values: str
) -> CounterKey:
    """The counter that key columns name."""
    return CounterKey(company_id, feature, counter_ref(end_us, start_us, slot, values))


def carried(column: str | None) -> Carried | None:
    """What came into a counter's window: amounts by age alone where no packs were used."""
    if column is None:
        return None
    read = _carried_of(column)
    return read if isinstance(read, Carried) else Carried(read)


def rollover_window(
    key: CounterKey,
    total: int,
    amounts: str,
    terms: str | None,
    settled: int,
    due_us: int | None,
) -> RolloverWindow:
    """The window that columns of a counter describe."""
    read = None if terms is None else _terms_of(terms)
    window = RolloverWindow(key, total, (), read, bool(settled), due_us)
    return window.with_carried(carried(amounts) or Carried())


def rollover_columns(window: RolloverWindow) -> RolloverColumns:
    """The same as columns: carried, terms, settled, due."""
    terms = None if window.terms is None else _encoder.encode(window.terms).decode()
    came_in = window.came_in if window.packs_used else window.carried
    return _encoder.encode(came_in).decode(), terms, window.settled, window.due_us


def counted_by(column: str) -> CountedBy:
    """What a filling's limits count."""
    return _counted_by_of(column)


def wanted(column: str) -> tuple[CountedBy, ...]:
    """What is to be filled."""
    return _wanted_of(column)


def credit_parts(column: str) -> tuple[EntryPart, ...]:
    """The parts of an entry about credits."""
    return _credit_parts_of(column)


def credit_parts_text(parts: tuple[EntryPart, ...]) -> str:
    """The same as JSON."""
    return _encoder.encode(parts).decode()


def value_text(value: CountedBy | tuple[CountedBy, ...]) -> str:
    """Either of them as JSON."""
    return _encoder.encode(value).decode()
