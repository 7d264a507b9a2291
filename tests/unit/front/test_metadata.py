"""Metadata and status messages as they travel."""

from __future__ import annotations

import pytest

from sidecar.front.errors import Status
from sidecar.front.machine.blocks import literal, percent_encoded, status_trailers
from sidecar.front.machine.hpackreader import HpackReader
from sidecar.front.machine.metadata import decoded


@pytest.mark.parametrize(
    ("message", "spelling"),
    [
        ("plain text", b"plain text"),
        ("50% off", b"50%25 off"),
        ("a\tb\r\n", b"a%09b%0D%0A"),
        ("näh", b"n%C3%A4h"),
        ("\U0001f607", b"%F0%9F%98%87"),
        ("", b""),
        ("\ud800", b"?"),
    ],
)
def test_status_message_is_percent_encoded(message: str, spelling: bytes) -> None:
    assert spelling == percent_encoded(message)


@pytest.mark.parametrize("size", [0, 1, 14, 15, 126, 127, 128, 254, 255, 16_000])
def test_literals_of_any_length_are_read_back(size: int) -> None:
    name, value = b"n" * max(size, 1), b"v" * size

    (field,) = HpackReader(100_000).read(literal(name, value))

    assert (name, value) == (field.name, field.value)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"AAE=", [b"\0\1"]),
        (b"AAE", [b"\0\1"]),
        (b"AAE,AP8", [b"\0\1", b"\0\xff"]),
        (b"", [b""]),
        (b"A", []),
    ],
)
def test_binary_values_are_base64(value: bytes, expected: list[bytes]) -> None:
    assert [("x-bin", item) for item in expected] == decoded([(b"x-bin", value)])


def test_status_carries_details_and_metadata() -> None:
    status = Status(9, "no", details=b"\x08\x09", metadata=[("why", "so"), ("why-bin", b"\xff")])

    fields = HpackReader(10_000).read(status_trailers(status))

    assert {
        b"grpc-status": b"9",
        b"grpc-message": b"no",
        b"grpc-status-details-bin": b"CAk",
        b"why": b"so",
        b"why-bin": b"/w",
    } == {field.name: field.value for field in fields}


@pytest.mark.parametrize("code", [17, -1, 1000])
def test_status_that_is_none_is_unknown(code: int) -> None:
    (field,) = HpackReader(10_000).read(status_trailers(Status(code)))

    assert b"2" == field.value
