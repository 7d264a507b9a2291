"""The protocol under the load driver, without a server."""

from __future__ import annotations

import pytest

from tests.bench import hpack, wire
from tests.bench.echo import METHOD

INITIAL = b"\x88"  # :status 200
OK = b"\x00\x0bgrpc-status\x010"


def response(stream_id: int, body: bytes, trailers: bytes = OK) -> bytes:
    message = b"\0" + len(body).to_bytes(4, "big") + body
    return (
        wire.frame(wire.HEADERS, wire.END_HEADERS, stream_id, INITIAL)
        + wire.frame(wire.DATA, 0, stream_id, message)
        + wire.frame(wire.HEADERS, wire.END_HEADERS | wire.END_STREAM, stream_id, trailers)
    )


def connection(*bodies: bytes) -> wire.Connection:
    """A connection with its preface sent and a call open for each body."""
    opened = wire.Connection(METHOD, "localhost")
    opened.take_output()
    for index, body in enumerate(bodies):
        opened.open(wire.Call(index, body, 0))
    return opened


def split(received: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Type, stream and payload of the whole frames received, and the bytes after them."""
    frames = []
    while len(received) >= 9:
        end = 9 + int.from_bytes(received[:3], "big")
        if end > len(received):
            break
        frames.append((received[3], int.from_bytes(received[5:9], "big"), received[9:end]))
        received = received[end:]
    return frames, received


def data_bytes(output: bytes) -> int:
    """The bytes of DATA in a client's output."""
    frames, rest = split(output)
    assert b"" == rest
    return sum(len(payload) for kind, _, payload in frames if kind == wire.DATA)


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
    assert expected == hpack.trailers_status(block)


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
    with pytest.raises(hpack.ProtocolError):
        hpack.trailers_status(block)


def test_response_may_arrive_byte_by_byte() -> None:
    opened = connection(b"ask")
    ended = [call for byte in response(1, b"answer") for call in opened.feed(bytes([byte]))]
    assert [("", b"answer")] == [(call.failure, call.response()) for call in ended]
    assert {} == opened.calls


@pytest.mark.parametrize(
    ("received", "failure"),
    [
        (response(1, b"x", OK[:-1] + b"9"), "grpc-status 9: "),
        (response(1, b"x", b"\x88"), "grpc-status None: "),
        (wire.frame(wire.HEADERS, 5, 1, OK), "status 0 without one whole message"),
        (
            response(1, b"x").replace(b"\0\0\0\0\1x", b"\0\0\0\0\2x"),
            "status 0 without one whole message",
        ),
        (response(1, b"x").replace(b"\0\0\0\0\1x", b"\1\0\0\0\1x"), "compressed response"),
        (wire.frame(wire.DATA, wire.END_STREAM, 1, b"\0\0\0\0\0"), "response without trailers"),
        (wire.frame(wire.RST_STREAM, 0, 1, wire.number(7)), "RST_STREAM 7"),
    ],
)
def test_anything_but_a_whole_answer_is_a_failure(received: bytes, failure: str) -> None:
    assert [failure] == [call.failure for call in connection(b"ask").feed(received)]


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (
            wire.frame(wire.GOAWAY, 0, 0, wire.number(1) + wire.number(11) + b"calm"),
            "GOAWAY 11 calm",
        ),
        (wire.frame(wire.DATA, 0x8, 1, b"\0x"), "unsupported frame flags 0x8"),
        (wire.frame(wire.HEADERS, 0, 1, INITIAL), "unsupported frame flags 0x0"),
        (wire.frame(wire.DATA, 0x4, 1, b"x"), "unsupported frame flags 0x4"),
        (wire.frame(wire.DATA, 0, 1, bytes(16_385)), "frame of 16385 bytes"),
    ],
)
def test_what_the_client_cannot_do_ends_the_load(received: bytes, message: str) -> None:
    with pytest.raises(hpack.ProtocolError, match=message):
        connection(b"ask").feed(received)


def test_settings_and_pings_are_acknowledged() -> None:
    opened = connection()
    opened.feed(wire.settings({wire.MAX_CONCURRENT_STREAMS: 7}))
    assert wire.frame(wire.SETTINGS, wire.ACK, 0) == opened.take_output()
    assert (7, False) == (opened.calls_max, opened.ready)
    opened.feed(wire.frame(wire.SETTINGS, wire.ACK, 0))
    assert opened.ready
    opened.feed(wire.frame(wire.PING, 0, 0, b"12345678"))
    assert wire.frame(wire.PING, wire.ACK, 0, b"12345678") == opened.take_output()


def test_requests_wait_for_the_windows_of_stream_and_connection() -> None:
    opened = connection(bytes(70_000))  # 70,005 bytes with the prefix
    assert 65_535 == data_bytes(opened.take_output())
    opened.feed(wire.frame(wire.WINDOW_UPDATE, 0, 0, wire.number(10_000)))
    assert 0 == data_bytes(opened.take_output())
    opened.feed(wire.frame(wire.WINDOW_UPDATE, 0, 1, wire.number(4_000)))
    assert 4_000 == data_bytes(opened.take_output())
    opened.open(wire.Call(1, b"small", 0))  # 5,999 bytes are left to the connection
    assert 10 == data_bytes(opened.take_output())
    opened.feed(wire.settings({wire.INITIAL_WINDOW_SIZE: 100_000}))
    assert 470 == data_bytes(opened.take_output())


def test_request_answered_early_is_cancelled() -> None:
    opened = connection(bytes(70_000))
    opened.take_output()
    assert 1 == len(opened.feed(response(1, b"no")))
    assert wire.frame(wire.RST_STREAM, 0, 1, wire.number(wire.CANCEL)) == opened.take_output()


def test_received_bytes_are_given_back_to_the_connection_window() -> None:
    opened = connection(b"ask")
    chunk = wire.frame(wire.DATA, 0, 1, bytes(16_384))
    half = wire.WINDOW_BYTES // 2
    for _ in range(half // 16_384 - 1):
        opened.feed(chunk)
    before = opened.take_output()
    opened.feed(chunk)
    assert 8 == data_bytes(before)  # the request, and no window update yet
    assert wire.frame(wire.WINDOW_UPDATE, 0, 0, wire.number(half)) == opened.take_output()
