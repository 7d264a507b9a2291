"""What a peer does wrong, and how its stream or its connection ends (RFC 9113)."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sidecar.front.errors import ErrorCode
from sidecar.front.frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HAS_PRIORITY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    SETTINGS_ENABLE_PUSH,
    SETTINGS_INITIAL_WINDOW_SIZE,
    SETTINGS_MAX_FRAME_SIZE,
    WINDOW_UPDATE,
    frame,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine.phases import Phase
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.peer import ECHO, Peer, call, data, headers, literal_block, request_fields

STREAM = "/test.Service/Stream"
SLOW = "/test.Service/Slow"


def trailers(
    stream_id: int, fields: Sequence[tuple[str, str]] = (("x", "y"),), *, end: bool = True
) -> bytes:
    flags = END_HEADERS | (END_STREAM if end else 0)
    return frame(HEADERS, flags, stream_id, literal_block(fields))


def peer() -> Peer:
    """With a method that answers, one that takes a stream, and one that never answers."""
    methods = {
        ECHO: unary(lambda call: call.answer(call.message)),
        STREAM: bidi_stream(lambda requests, _: requests),
        SLOW: unary(lambda _: None),
    }
    return Peer(methods)


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(DATA, 0, 0, b"x"), ErrorCode.PROTOCOL_ERROR),
        (frame(DATA, 0, 1, b"x"), ErrorCode.PROTOCOL_ERROR),
        (headers(2), ErrorCode.PROTOCOL_ERROR),
        (headers(0), ErrorCode.PROTOCOL_ERROR),
        (call(3) + headers(1), ErrorCode.STREAM_CLOSED),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b"\x09abc"), ErrorCode.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS | HAS_PRIORITY, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\x80"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\xff\xff\xff\x7f"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\x00\x05ab"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\x82\x20"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\x20\x20\x20\x82"), ErrorCode.COMPRESSION_ERROR),
        (frame(HEADERS, 0, 1, b"") + frame(PING, 0, 0, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (
            frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, END_HEADERS, 3, b""),
            ErrorCode.PROTOCOL_ERROR,
        ),
        (frame(PRIORITY, 0, 0, bytes(5)), ErrorCode.PROTOCOL_ERROR),
        (rst_stream(0, 8), ErrorCode.PROTOCOL_ERROR),
        (rst_stream(1, 8), ErrorCode.PROTOCOL_ERROR),
        (call(1) + frame(RST_STREAM, 0, 1, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, b""), ErrorCode.PROTOCOL_ERROR),
        (frame(SETTINGS, 0, 0, b"abc"), ErrorCode.FRAME_SIZE_ERROR),
        (frame(SETTINGS, ACK, 0, bytes(6)), ErrorCode.FRAME_SIZE_ERROR),
        (settings({SETTINGS_ENABLE_PUSH: 2}), ErrorCode.PROTOCOL_ERROR),
        (settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31}), ErrorCode.FLOW_CONTROL_ERROR),
        (settings({SETTINGS_MAX_FRAME_SIZE: 16_383}), ErrorCode.PROTOCOL_ERROR),
        (settings({SETTINGS_MAX_FRAME_SIZE: 2**24}), ErrorCode.PROTOCOL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), ErrorCode.PROTOCOL_ERROR),
        (frame(PING, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(PING, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 1, bytes(8)), ErrorCode.PROTOCOL_ERROR),
        (frame(GOAWAY, 0, 0, bytes(7)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(3)), ErrorCode.FRAME_SIZE_ERROR),
        (window_update(0, 0), ErrorCode.PROTOCOL_ERROR),
        (window_update(0, 1), ErrorCode.FLOW_CONTROL_ERROR),  # it is at its maximum already
        (window_update(1, 1), ErrorCode.PROTOCOL_ERROR),
        (window_update(2, 1), ErrorCode.PROTOCOL_ERROR),
        (frame(DATA, 0, 1, bytes(16_385)), ErrorCode.FRAME_SIZE_ERROR),
        (frame(DATA, 0, 1, bytes(20_000))[:9], ErrorCode.FRAME_SIZE_ERROR),
        (
            headers(1, SLOW)
            + settings({SETTINGS_INITIAL_WINDOW_SIZE: 0})
            + window_update(1, 2**31 - 2)
            + settings({SETTINGS_INITIAL_WINDOW_SIZE: 2}),
            ErrorCode.FLOW_CONTROL_ERROR,
        ),
    ],
)
def test_fault_of_the_connection_ends_it(sent: bytes, code: ErrorCode) -> None:
    client = peer()

    client.send(sent)

    assert code == client.goaway()
    assert Phase.CLOSED is client.connection.phase
    assert [] == client.send(call(99)), "nothing is read any more"


@pytest.mark.parametrize("hello", [b"GET / HTTP/1.1\r\n\r\n", PREFACE[:20] + b"x", b"\0"])
def test_other_preface_ends_the_connection(hello: bytes) -> None:
    client = Peer(hello=hello)

    assert ErrorCode.PROTOCOL_ERROR == client.goaway()
    assert ["preface"] == client.refused


@pytest.mark.parametrize("first", [frame(PING, 0, 0, bytes(8)), frame(SETTINGS, ACK, 0), call(1)])
def test_first_frame_other_than_settings_ends_the_connection(first: bytes) -> None:
    assert ErrorCode.PROTOCOL_ERROR == Peer(hello=PREFACE + first).goaway()


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (headers(1, STREAM) + frame(DATA, END_STREAM | PADDED, 1, b"\0") + data(1, b"x"), 5),
        (headers(1, STREAM, flags=END_HEADERS | END_STREAM) + headers(1, STREAM), 5),
        (headers(1, STREAM) + headers(1, STREAM), 1),
        (headers(1, STREAM) + window_update(1, 0), 1),
        (headers(1, STREAM) + window_update(1, 2**31 - 1), 3),
        (call(1) + data(1, b"x"), 5),
        (headers(1, SLOW) + rst_stream(1, 8) + data(1, b"x"), 5),
        (frame(PRIORITY, 0, 1, b"\0\0\0\x01\0"), 1),
        (frame(PRIORITY, 0, 1, bytes(4)), 6),
        (
            frame(
                HEADERS,
                END_HEADERS | HAS_PRIORITY,
                1,
                b"\0\0\0\x01\0" + literal_block(request_fields(STREAM)),
            ),
            1,
        ),
        (headers(1, more=[("content-length", "3")]) + data(1, b"abcd"), 1),
        (headers(1, more=[("content-length", "9")]) + data(1, b"abcd"), 1),
        (headers(1, more=[("content-length", "9")], flags=END_HEADERS | END_STREAM), 1),
        (headers(1, more=[("content-length", "x")]), 1),
        (headers(1, more=[("content-length", "9")]) + trailers(1), 1),
        (headers(1, STREAM) + trailers(1, end=False), 1),
        (headers(1, STREAM) + trailers(1, [(":path", "/x")]), 1),
        (headers(1, more=[("connection", "close")]), 1),
        (headers(1, more=[("te", "gzip")]), 1),
        (headers(1, more=[("Upper", "x")]), 1),
        (headers(1, more=[("x", " led")]), 1),
        (headers(1, more=[("x", "a\nb")]), 1),
        (headers(1, more=[(":path", "/x")]), 1),
        (headers(1, more=[(":status", "200")]), 1),
        (headers(1, path=""), 1),
        (frame(HEADERS, END_HEADERS, 1, literal_block(request_fields()[1:])), 1),
        (frame(HEADERS, END_HEADERS, 1, b""), 1),
    ],
)
def test_fault_of_a_stream_resets_it_and_no_other(sent: bytes, code: int) -> None:
    client = peer()

    client.send(sent, call(11))

    answers = client.answers()
    assert code == answers[1].reset
    assert 0 == answers[11].status
    assert None is client.goaway()
    assert ["protocol_error"] == client.refused


def test_more_content_than_the_streams_window_resets_the_stream() -> None:
    client = peer()
    # Five messages of two frames each, none of which a behaviour takes.
    frames = [data(1, bytes(16_384), end=False) for _ in range(5)]

    client.send(headers(1, STREAM), *frames)

    assert ErrorCode.FLOW_CONTROL_ERROR == client.answer(1).reset


def test_calls_that_came_before_a_fault_are_answered() -> None:
    client = peer()

    client.send(call(1), call(3), window_update(0, 0), call(5))

    answers = client.answers()
    assert {1: 0, 3: 0} == {number: answer.status for number, answer in answers.items()}
    goaway = client.of(GOAWAY)[-1]
    assert 3 == int.from_bytes(goaway.payload[:4])


def test_call_that_is_reset_in_the_same_read_is_not_handled() -> None:
    handled: list[int] = []
    client = Peer({ECHO: unary(lambda call: handled.append(call.stream_id))})

    client.send(call(1), call(3), rst_stream(1, 8))

    assert [3] == handled


def test_frames_that_cross_an_early_answer_are_ignored() -> None:
    client = peer()
    client.send(headers(1, "/nothing.Of/ThatName"))

    client.send(
        data(1, bytes(1000), end=False),
        frame(HEADERS, END_HEADERS | END_STREAM, 1, literal_block([("x", "y")])),
        rst_stream(1, 8),
        window_update(1, 5),
        call(3),
    )

    answers = client.answers()
    assert (12, ErrorCode.NO_ERROR) == (answers[1].status, answers[1].reset)
    assert 0 == answers[3].status
    assert None is client.goaway()


def test_unknown_frames_and_priorities_are_ignored() -> None:
    client = peer()

    client.send(frame(99, 0xFF, 7, b"what"), frame(PRIORITY, 0, 9, bytes(5)), call(1))

    assert 0 == client.answer(1).status
