"""The protocol under the load driver, without a server."""

from __future__ import annotations

import pytest

from sidecar.front import frames
from tests.bench import wire
from tests.bench.echo import METHOD
from tests.bench.errors import ProtocolError
from tests.bench.headers import RequestHeaders

INITIAL = b"\x88"  # :status 200
OK = b"\x00\x0bgrpc-status\x010"


def response(stream_id: int, body: bytes, trailers: bytes = OK) -> bytes:
    message = b"\0" + len(body).to_bytes(4, "big") + body
    return (
        frames.frame(frames.HEADERS, frames.END_HEADERS, stream_id, INITIAL)
        + frames.frame(frames.DATA, 0, stream_id, message)
        + frames.frame(frames.HEADERS, frames.END_HEADERS | frames.END_STREAM, stream_id, trailers)
    )


def connection(*bodies: bytes) -> wire.Connection:
    """A connection with its preface sent and a call open for each body."""
    opened = wire.Connection(RequestHeaders(METHOD, "localhost"))
    opened.take_output()
    for index, body in enumerate(bodies):
        opened.open(wire.Call(index, body, 0))
    return opened


def split(received: bytes) -> tuple[list[tuple[int, int, bytes]], bytes]:
    """Type, stream and payload of the whole frames received, and the bytes after them."""
    found = []
    while len(received) >= 9:
        end = 9 + int.from_bytes(received[:3], "big")
        if end > len(received):
            break
        found.append((received[3], int.from_bytes(received[5:9], "big"), received[9:end]))
        received = received[end:]
    return found, received


def data_bytes(output: bytes) -> int:
    """The bytes of DATA in a client's output."""
    found, rest = split(output)
    assert b"" == rest
    return sum(len(payload) for kind, _, payload in found if kind == frames.DATA)


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
        (frames.frame(frames.HEADERS, 5, 1, OK), "status 0 without one whole message"),
        (
            response(1, b"x").replace(b"\0\0\0\0\1x", b"\0\0\0\0\2x"),
            "status 0 without one whole message",
        ),
        (response(1, b"x").replace(b"\0\0\0\0\1x", b"\1\0\0\0\1x"), "compressed response"),
        (
            frames.frame(frames.DATA, frames.END_STREAM, 1, b"\0\0\0\0\0"),
            "response without trailers",
        ),
        (frames.rst_stream(1, 7), "RST_STREAM 7"),
    ],
)
def test_anything_but_a_whole_answer_is_a_failure(received: bytes, failure: str) -> None:
    assert [failure] == [call.failure for call in connection(b"ask").feed(received)]


@pytest.mark.parametrize(
    ("received", "message"),
    [
        (
            frames.goaway(1, 11, b"calm"),
            "GOAWAY 11 calm",
        ),
        (frames.frame(frames.DATA, 0x8, 1, b"\0x"), "unsupported frame flags 0x8"),
        (frames.frame(frames.HEADERS, 0, 1, INITIAL), "unsupported frame flags 0x0"),
        (frames.frame(frames.DATA, 0x4, 1, b"x"), "unsupported frame flags 0x4"),
        (frames.frame(frames.DATA, 0, 1, bytes(16_385)), "frame of 16385 bytes"),
    ],
)
def test_what_the_client_cannot_do_ends_the_load(received: bytes, message: str) -> None:
    with pytest.raises(ProtocolError, match=message):
        connection(b"ask").feed(received)


def test_settings_and_pings_are_acknowledged() -> None:
    opened = connection()
    opened.feed(frames.settings({frames.SETTINGS_MAX_CONCURRENT_STREAMS: 7}))
    assert frames.SETTINGS_ACK == opened.take_output()
    assert (7, False) == (opened.calls_max, opened.ready)
    opened.feed(frames.SETTINGS_ACK)
    assert opened.ready
    opened.feed(frames.frame(frames.PING, 0, 0, b"12345678"))
    assert frames.frame(frames.PING, frames.ACK, 0, b"12345678") == opened.take_output()


def test_requests_wait_for_the_windows_of_stream_and_connection() -> None:
    opened = connection(bytes(70_000))  # 70,005 bytes with the prefix
    assert 65_535 == data_bytes(opened.take_output())
    opened.feed(frames.window_update(0, 10_000))
    assert 0 == data_bytes(opened.take_output())
    opened.feed(frames.window_update(1, 4_000))
    assert 4_000 == data_bytes(opened.take_output())
    opened.open(wire.Call(1, b"small", 0))  # 5,999 bytes are left to the connection
    assert 10 == data_bytes(opened.take_output())
    opened.feed(frames.settings({frames.SETTINGS_INITIAL_WINDOW_SIZE: 100_000}))
    assert 470 == data_bytes(opened.take_output())


def test_request_answered_early_is_cancelled() -> None:
    opened = connection(bytes(70_000))
    opened.take_output()
    assert 1 == len(opened.feed(response(1, b"no")))
    assert frames.rst_stream(1, wire.CANCEL) == opened.take_output()


def test_received_bytes_are_given_back_to_the_connection_window() -> None:
    opened = connection(b"ask")
    chunk = frames.frame(frames.DATA, 0, 1, bytes(16_384))
    half = wire.WINDOW_BYTES // 2
    for _ in range(half // 16_384 - 1):
        opened.feed(chunk)
    before = opened.take_output()
    opened.feed(chunk)
    assert 8 == data_bytes(before)  # the request, and no window update yet
    assert frames.window_update(0, half) == opened.take_output()
