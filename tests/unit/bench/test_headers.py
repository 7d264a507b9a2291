"""Header blocks: what requests say, and what is read from trailers."""

from __future__ import annotations

import pytest
from hpack import Decoder

from tests.bench.echo import METHOD
from tests.bench.errors import ProtocolError
from tests.bench.headers import RequestHeaders, trailers_status

OK = b"\x00\x0bgrpc-status\x010"


def fields(block: bytes) -> dict[bytes, bytes]:
    """The fields of a block, to a server that allows no table."""
    decoder = Decoder()
    decoder.header_table_size = decoder.max_allowed_table_size = 0
    return dict(decoder.decode(block, raw=True))


def test_request_says_what_grpc_requires() -> None:
    headers = RequestHeaders(METHOD, "localhost")
    expected = {
        b":method": b"POST",
        b":scheme": b"http",
        b":path": METHOD.encode(),
        b":authority": b"localhost",
        b"content-type": b"application/grpc",
        b"user-agent": b"tallyd-h2driver",
        b"te": b"trailers",
    }
    assert expected == fields(headers.block(0))
    assert expected == fields(headers.table_update + headers.block(0))


def test_deadline_differs_from_call_to_call_and_nothing_else_does() -> None:
    headers = RequestHeaders(METHOD, "localhost", deadline=True)
    instants_ns = (0, 1_000, 999_999_000, 1_000_000_000, 123_456_789_012)
    timeouts = [fields(headers.block(at_ns))[b"grpc-timeout"] for at_ns in instants_ns]
    assert [b"5000000u", b"4999999u", b"4000001u", b"5000000u", b"4543211u"] == timeouts
    assert {headers.size} == {len(headers.block(at_ns)) for at_ns in instants_ns}
    without = RequestHeaders(METHOD, "localhost").block(0)
    assert {headers.block(at_ns)[: len(without)] for at_ns in instants_ns} == {without}


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        pytest.param(OK, (0, ""), id="literal"),
        pytest.param(b"\x20" + OK, (0, ""), id="after a table size of 0"),
        pytest.param(b"\x88" + OK, (0, ""), id="after an indexed field"),
        pytest.param(b"\x40\x0bgrpc-status\x0213", (13, ""), id="literal to be indexed"),
        pytest.param(b"\x10\x0bgrpc-status\x015", (5, ""), id="never indexed"),
        pytest.param(
            b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x81\x07", (0, ""), id="Huffman code"
        ),
        pytest.param(
            b"\x00\x88\x9a\xca\xc8\xb2\x12\x34\xda\x8f\x82\x08\x7f", (11, ""), id="Huffman 11"
        ),
        pytest.param(OK[:-1] + b"7\x00\x0cgrpc-message\x02no", (7, "no"), id="message"),
        pytest.param(b"\x0f\x10\x7f\x01" + b"x" * 128 + OK, (0, ""), id="long value before"),
        pytest.param(b"\x88", (None, ""), id="no status"),
        pytest.param(OK[:-1] + b"x", (None, ""), id="status that is no number"),
    ],
)
def test_status_is_read_from_trailers(block: bytes, expected: tuple[int | None, str]) -> None:
    assert expected == trailers_status(block)


@pytest.mark.parametrize(
    "block",
    [
        pytest.param(b"\xbe", id="dynamic index"),
        pytest.param(b"\x80", id="index 0"),
        pytest.param(b"\x7e\x010", id="name from the dynamic table"),
        pytest.param(b"\x3f\xe1\x1f", id="table of 4096 bytes"),
        pytest.param(b"\x00\x0bgrpc", id="cut short in a string"),
        pytest.param(b"\x00", id="cut short before a string"),
        pytest.param(b"\xff\xff\xff\xff\xff\xff", id="endless integer"),
    ],
)
def test_malformed_trailers_are_refused(block: bytes) -> None:
    with pytest.raises(ProtocolError):
        trailers_status(block)
