"""What costs more than it looks: the machine counts it, so that a turn stays short."""

from __future__ import annotations

import gzip
from collections.abc import Sequence

import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import DATA, PADDED, WINDOW_UPDATE, frame, goaway, rst_stream
from sidecar.front.machine import requests, timeouts
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.bombs import gzip_of_nothing, many_fields
from tests.support.front.peer import ECHO, Peer, call, data, echo, headers

STREAM = "/test.Service/Stream"
WINDOW_BYTES = 65_535
SLOW_SECONDS = 31.0
TIMEOUT = [("grpc-timeout", "5S")]
GZIP = [("grpc-encoding", "gzip")]


def cut(content: bytes, stream_id: int, *, end: bool) -> list[bytes]:
    """Content in DATA frames of the largest size."""
    pieces = [content[at : at + 16_384] for at in range(0, len(content), 16_384)]
    return [data(stream_id, piece, end=end and piece is pieces[-1]) for piece in pieces]


def test_compressed_message_of_nothing_is_read_in_small_steps() -> None:
    seen: list[bytes] = []
    client = Peer({ECHO: unary(lambda call: seen.append(call.message))})
    nothing = gzip_of_nothing(10_000)
    size = len(nothing)

    client.send(headers(1, more=GZIP), *cut(PREFIX.pack(1, size) + nothing, 1, end=True), call(3))

    assert Code.INTERNAL == client.answer(1).status
    assert [b"hello"] == seen
    assert client.turns > size / (4 * 4096)


def sendable_forever(frame: bytes, size: int, more: Sequence[tuple[str, str]] = ()) -> bool:
    """Whether a client that keeps to the window may send so much DATA many times over.

    Each message is taken at once.
    """
    client = Peer({STREAM: bidi_stream(lambda requests, _: requests)})
    client.send(headers(1, STREAM, more))
    stream, credit = client.connection.streams[1], WINDOW_BYTES
    for _ in range(4 * WINDOW_BYTES // size):
        if credit < size:
            return False
        heard = client.send(frame)
        while requests.take(client.connection, stream) is not None:
            pass
        heard += client.proceed()
        grown = [int.from_bytes(item.payload) for item in heard if item.kind == WINDOW_UPDATE]
        credit += sum(grown) - size
        assert credit <= WINDOW_BYTES
    return True


def test_messages_that_compression_makes_longer_do_not_use_up_the_window() -> None:
    small = gzip.compress(b"a")
    message = PREFIX.pack(1, len(small)) + small

    assert sendable_forever(data(1, message, end=False), len(message), GZIP)


def test_messages_that_compression_makes_shorter_do_not_widen_the_window() -> None:
    small = gzip.compress(bytes(1_000))
    message = PREFIX.pack(1, len(small)) + small

    assert sendable_forever(data(1, message, end=False), len(message), GZIP)


def test_padding_does_not_use_up_the_window() -> None:
    padded = bytes([200]) + packed(b"a") + bytes(200)

    assert sendable_forever(frame(DATA, PADDED, 1, padded), len(padded))


def test_empty_frames_are_no_progress_of_a_request() -> None:
    client = Peer()
    client.send(headers(1), data(1, b"\0", end=False))

    client.now += SLOW_SECONDS
    client.send(data(1, b"", end=False), frame(DATA, PADDED, 1, bytes([3, 0, 0, 0])))
    timeouts.check(client.connection, client.now)
    client.proceed()

    assert Code.DEADLINE_EXCEEDED == client.answer(1).status
    assert ["slow_request"] == client.refused


def test_heads_of_many_fields_take_a_turn_each() -> None:
    client = Peer()

    client.send(many_fields(ECHO, 400, range(1, 21, 2)))

    assert 10 == len(client.connection.streams)
    assert client.turns >= 10


def test_heads_of_open_streams_are_bounded_together() -> None:
    client = Peer({ECHO: echo()}, Bounds(received_bytes_connection_max=100_000))

    client.send(many_fields(ECHO, 400, range(1, 41, 2)))

    assert 6 == len(client.connection.streams), "of 14 KiB each"
    statuses = [answer.status for answer in client.answers().values()]
    assert [Code.RESOURCE_EXHAUSTED] * 14 == statuses
    assert ["received_bytes"] * 14 == client.refused
    client.connection.close(None)
    assert 0 == client.shared.received_bytes


def test_frame_of_tiny_messages_takes_a_turn_of_its_own() -> None:
    client = Peer({STREAM: bidi_stream(lambda requests, _: requests)})
    tiny = data(1, packed(b"") * 1_000, end=False)

    client.send(headers(1, STREAM), *[tiny] * 10)

    assert 10 * 1_000 == len(client.connection.streams[1].inbox)
    assert client.turns >= 10


@pytest.mark.parametrize(("size", "turns"), [(60, 1), (1_000, 8), (8_000, 32), (40_000, 64)])
def test_turn_has_few_long_calls(size: int, turns: int) -> None:
    client = Peer()

    client.send(*(part for number in range(1, 129, 2) for part in long_call(number, size)))

    assert [0] * 64 == [answer.status for answer in client.answers().values()]
    assert client.turns >= turns


def long_call(stream_id: int, size: int) -> list[bytes]:
    """A call with a message of a size, in frames."""
    return [headers(stream_id), *cut(packed(bytes(size)), stream_id, end=True)]


class Deferring:
    """A client of a method that answers later. `calls`: what the method has begun."""

    def __init__(self, bounds: Bounds) -> None:
        self.calls: list[UnaryCall] = []
        self.client = Peer({ECHO: unary(self._handle)}, bounds)

    def _handle(self, call: UnaryCall) -> None:
        call.defer()
        self.calls.append(call)


def test_call_beyond_the_calls_under_way_is_not_begun() -> None:
    deferring = Deferring(Bounds(calls_max=3))

    deferring.client.send(*(call(number) for number in range(1, 21, 2)))
    for begun in deferring.calls:
        begun.answer(b"done")
    deferring.client.proceed()

    assert [1, 3, 5] == [begun.stream_id for begun in deferring.calls]
    answers = deferring.client.answers()
    exhausted = [number for number in answers if answers[number].status != 0]
    assert [7, 9, 11, 13, 15, 17, 19] == exhausted
    assert {Code.RESOURCE_EXHAUSTED} == {answers[number].status for number in exhausted}
    assert 0 == deferring.client.shared.calls


@pytest.mark.parametrize("how", ["reset", "lost", "deadline"])
def test_call_that_was_given_up_counts_until_its_handler_is_done(how: str) -> None:
    deferring = Deferring(Bounds(calls_max=2))
    client, message = deferring.client, bytes(1_000)
    client.send(call(1, message, more=TIMEOUT), call(3, message, more=TIMEOUT))

    if how == "reset":
        client.send(rst_stream(1, 8), rst_stream(3, 8))
    elif how == "lost":
        client.connection.close(None)
        client = Peer(shared=client.shared)
    else:
        client.now += 6
        client.shared.timers.expire(client.now, 10)
        client.proceed()
    assert 0 == client.shared.streams
    client.send(call(5))
    assert Code.RESOURCE_EXHAUSTED == client.answer(5).status
    assert 2 == client.shared.calls
    assert client.shared.received_bytes > 2_000
    for begun in deferring.calls:
        begun.answer(b"for nobody")
        begun.answer(b"and again")

    assert (0, 0) == (client.shared.calls, client.shared.received_bytes)
    client.send(call(7))
    assert 3 == len(deferring.calls)


def test_peer_that_says_goodbye_for_ever_is_left() -> None:
    client = Peer()
    client.send(call(1), *[goaway(0, ErrorCode.NO_ERROR)] * 10)
    assert None is client.goaway()

    client.send(*[goaway(0, ErrorCode.NO_ERROR)] * 10)

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert ["goaway_flood"] == client.refused
