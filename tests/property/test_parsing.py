"""A message that is parsed in slices is the message that is parsed at once."""

from __future__ import annotations

from typing import Final
from unittest.mock import patch

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from sidecar.api.sync.v1 import sync_pb2
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.slices import whole
from sidecar.shared.convert import parsing
from sidecar.shared.convert.catalog import catalog_snapshot_to_message
from sidecar.shared.convert.counters import total_to_message
from sidecar.shared.convert.parsing import parsed_in_slices
from sidecar.shared.convert.snapshot_messages import snapshot_to_message
from tests.support.build import (
    catalog,
    catalog_snapshot,
    company,
    counter_ref,
    limit,
    metered,
    total,
)

_CONTENT: Final = catalog_snapshot(
    catalog(
        {
            plan: [metered(f"feature {n}", limit(), limit("x", match={"a": "b"})) for n in range(9)]
            for plan in ("basic", "pro", "team")
        }
    )
)
_TOTAL: Final = total_to_message(total(counter_ref(limit()), 2**62, -1, 1))
_PIECES: Final = st.integers(0, 300)
_MESSAGES: Final = st.builds(
    lambda revision, complete, content, names, removed, totals: sync_pb2.WatchSnapshotsResponse(
        revision=revision,
        complete=complete,
        catalog=catalog_snapshot_to_message(_CONTENT) if content else None,
        companies=[snapshot_to_message(compile_snapshot(company(name), 1)) for name in names],
        removed_companies=removed,
        totals=[_TOTAL] * totals,
        epoch="e" * (revision % 7),
    ),
    st.integers(-(2**63), 2**63 - 1),
    st.booleans(),
    st.booleans(),
    st.lists(st.text(min_size=1, max_size=9), max_size=4),
    st.lists(st.text(max_size=200), max_size=4),
    st.integers(0, 9),
)


@given(_MESSAGES, _PIECES)
def test_slices_make_the_same_message(
    message: sync_pb2.WatchSnapshotsResponse, piece_bytes: int
) -> None:
    with patch.object(parsing, "PIECE_BYTES", piece_bytes):
        parsed = whole(parsed_in_slices(type(message), message.SerializeToString()))
    assert message == parsed
    assert message.HasField("catalog") == parsed.HasField("catalog")


@given(st.binary(max_size=60) | _MESSAGES.map(lambda found: found.SerializeToString()), _PIECES)
def test_bytes_that_hold_no_message_are_refused_and_nothing_else_happens(
    data: bytes, piece_bytes: int
) -> None:
    cut = data[: len(data) // 2]
    with patch.object(parsing, "PIECE_BYTES", piece_bytes):
        try:
            parsed = whole(parsed_in_slices(sync_pb2.WatchSnapshotsResponse, cut))
        except DecodeError:
            return
    assert sync_pb2.WatchSnapshotsResponse.FromString(cut) == parsed


@pytest.mark.parametrize("data", [b"\x08", b"\x0b", b"\x1a\x05ab", b"\xff" * 11, b"\x09abc"])
def test_what_ends_too_soon_is_refused(data: bytes) -> None:
    with pytest.raises(DecodeError):
        whole(parsed_in_slices(sync_pb2.WatchSnapshotsResponse, data))


def test_a_large_message_comes_in_many_slices() -> None:
    message = sync_pb2.WatchSnapshotsResponse(totals=[_TOTAL] * 10_000)
    slices = sum(1 for _ in parsed_in_slices(type(message), message.SerializeToString()))
    assert slices > 10
