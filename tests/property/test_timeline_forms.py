"""Every form in which a timeline is sent or stored says the same: those of today and of before."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.control.storage.sqlite import codec as sqlite_codec
from sidecar.domain.company.model import Company, CompanySnapshot
from sidecar.domain.company.spans import segments_of
from sidecar.domain.company.timeline import compile_snapshot, continue_snapshot
from sidecar.domain.time.units import DAY_US
from sidecar.shared.convert.snapshot_messages import segmented_to_message, snapshot_to_message
from sidecar.shared.convert.snapshots import snapshot_from_message
from sidecar.storage import snapshot_codec
from tests.support.build import NOW_US
from tests.support.strategies import companies

_INSTANTS: Final = st.integers(0, 60).map(lambda number: NOW_US + number * DAY_US)


@st.composite
def _timelines(draw: st.DrawFn) -> CompanySnapshot:
    first, *rest = draw(st.lists(companies(_INSTANTS), min_size=1, max_size=4))
    snapshot = compile_snapshot(first, 1)
    at_us = NOW_US
    for version, company in enumerate(rest, start=2):
        at_us += draw(st.integers(0, 30)) * DAY_US
        snapshot = continue_snapshot(snapshot, company, version, at_us)
    return snapshot


def _by_wire(snapshot: CompanySnapshot) -> CompanySnapshot:
    data = snapshot_to_message(snapshot).SerializeToString()
    return snapshot_from_message(catalog_pb2.CompanySnapshot.FromString(data), "")


def _by_segmented_wire(snapshot: CompanySnapshot) -> CompanySnapshot:
    data = segmented_to_message(snapshot, 1 << 20).SerializeToString()
    return snapshot_from_message(catalog_pb2.CompanySnapshot.FromString(data), "")


def _by_store(snapshot: CompanySnapshot) -> CompanySnapshot:
    return snapshot_codec.decode_snapshot(snapshot_codec.encode_snapshot(snapshot))


def _by_store_of_format_3(snapshot: CompanySnapshot) -> CompanySnapshot:
    segments = list(segments_of(snapshot))
    value = {"company": snapshot.company, "version": snapshot.version, "segments": segments}
    return snapshot_codec.decode_snapshot(b"\x02" + msgspec.msgpack.encode(value))


def _by_database(snapshot: CompanySnapshot) -> CompanySnapshot:
    column = sqlite_codec.timeline_column(snapshot)
    return sqlite_codec.snapshot(snapshot.company, snapshot.version, column)


def _by_database_of_schema_4(snapshot: CompanySnapshot) -> CompanySnapshot:
    column = msgspec.json.encode(list(segments_of(snapshot)))
    return sqlite_codec.snapshot(snapshot.company, snapshot.version, column)


@pytest.mark.parametrize(
    "form",
    [
        _by_wire,
        _by_segmented_wire,
        _by_store,
        _by_store_of_format_3,
        _by_database,
        _by_database_of_schema_4,
    ],
)
@settings(max_examples=12)
@given(_timelines())
def test_a_timeline_is_read_as_it_was_written(
    form: Callable[[CompanySnapshot], CompanySnapshot], snapshot: CompanySnapshot
) -> None:
    assert snapshot == form(snapshot)


@settings(max_examples=12)
@given(companies(_INSTANTS), st.integers(60, 900))
def test_what_has_no_room_for_a_reader_of_before_goes_on_as_it_was(
    company: Company, bytes_max: int
) -> None:
    snapshot = compile_snapshot(company, 1)
    told = snapshot_from_message(segmented_to_message(snapshot, bytes_max), "")
    for segment, read in zip(segments_of(snapshot), segments_of(told), strict=False):
        content = msgspec.structs.replace(read, until_us=segment.until_us)
        assert segment == content
