"""The primitives of protobuf's wire format, against the generated classes."""

from __future__ import annotations

import pytest
from google.protobuf.wrappers_pb2 import BytesValue, StringValue, UInt64Value
from hypothesis import given
from hypothesis import strategies as st

from sidecar.shared import protobuf_wire

NUMBERS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 127, 128, 16_383, 16_384, 2**63])


@given(NUMBERS)
def test_a_number_is_written_and_read_as_protobuf_does(number: int) -> None:
    written = protobuf_wire.varint(number)
    assert number == UInt64Value.FromString(b"\x08" + written).value
    assert (number, len(written)) == protobuf_wire.read_varint(written, 0)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 16_383, 16_384, 2_097_152])
def test_bytes_and_texts_are_written_as_protobuf_does(size: int) -> None:
    if size:  # proto3 leaves out what is empty
        assert BytesValue(value=b"x" * size).SerializeToString() == protobuf_wire.delimited(
            b"\x0a", b"x" * size
        )
    assert b"x" * size == BytesValue.FromString(protobuf_wire.delimited(b"\x0a", b"x" * size)).value
    assert "é" * size == StringValue.FromString(protobuf_wire.text(b"\x0a", "é" * size)).value


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xff" * 4])
def test_a_number_that_is_cut_short_is_found(data: bytes) -> None:
    with pytest.raises(IndexError):
        protobuf_wire.read_varint(data, 0)


def test_a_number_without_an_end_is_found() -> None:
    with pytest.raises(ValueError, match="ten bytes"):
        protobuf_wire.read_varint(b"\x80" * 11, 0)


@pytest.mark.parametrize(
    ("kind", "behind"),
    [(protobuf_wire.VARINT, 1), (protobuf_wire.FIXED64, 8), (protobuf_wire.FIXED32, 4)],
)
def test_values_that_are_not_wanted_are_skipped(kind: int, behind: int) -> None:
    assert behind == protobuf_wire.skip(kind, bytes(8), 0)


@pytest.mark.parametrize("kind", [protobuf_wire.DELIMITED, 3, 4, 6, 7])
def test_other_wire_types_are_refused(kind: int) -> None:
    with pytest.raises(ValueError, match="proto3"):
        protobuf_wire.skip(kind, bytes(8), 0)
