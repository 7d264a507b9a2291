"""Unary calls that are answered at once, and what makes a call unusual without being wrong."""

from __future__ import annotations

import gzip
import random
from collections.abc import Iterator

import hpack
import pytest

from sidecar.front.errors import ErrorCode, Status
from sidecar.front.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    SETTINGS,
    SETTINGS_ACK,
    SETTINGS_HEADER_TABLE_SIZE,
    frame,
    settings,
    window_update,
)
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import unary
from tests.support.front.peer import (
    ECHO,
    HELLO,
    WINDOW_GROWN,
    Peer,
    call,
    data,
    headers,
    literal_block,
    request_fields,
)

FAST = "/test.Service/Fast"


def compressed(message: bytes) -> bytes:
    content = gzip.compress(message)
    return PREFIX.pack(1, len(content)) + content


def parts(stream_id: int, content: bytes, size: int) -> Iterator[bytes]:
    """DATA frames of at most `size` bytes."""
    for at in range(0, len(content), size):
        yield data(stream_id, content[at : at + size], end=at + size >= len(content))


def test_answer_is_head_message_and_trailers() -> None:
    client = Peer()

    client.send(call(1, b"hello"))

    answer = client.answer(1)
    assert {":status": "200", "content-type": "application/grpc"} == answer.head
    assert packed(b"hello") == answer.data
    assert {"grpc-status": "0"} == answer.trailers
    assert answer.ended


def test_first_header_block_shrinks_the_encoders_table() -> None:
    client = Peer()

    client.send(call(1), call(3))

    blocks = [frame.payload for frame in client.of(HEADERS)]
    assert [True, False, False, False] == [block.startswith(b"\x20") for block in blocks]


def test_one_read_with_many_calls_is_answered_in_one_turn() -> None:
    seen: list[int] = []

    def handle(call: UnaryCall) -> None:
        seen.append(call.stream_id)
        call.answer(b"x")

    client = Peer({ECHO: unary(handle)})

    client.send(*(call(number) for number in range(1, 129, 2)))

    assert list(range(1, 129, 2)) == seen
    assert 1 == client.turns


@pytest.mark.parametrize("size", [0, 1, 100, 4091, 16_379, 16_380, 70_000, 1_000_000])
def test_message_of_any_size_comes_back(size: int) -> None:
    message = random.Random(size).randbytes(size)
    client = Peer(hello=HELLO + frame(SETTINGS, 0, 0, b"\0\x04\x7f\xff\xff\xff"))

    client.send(headers(1), *parts(1, packed(message), 16_384))

    answer = client.answer(1)
    assert packed(message) == answer.data
    assert 0 == answer.status


@pytest.mark.parametrize(
    "sent",
    [
        headers(1) + window_update(1, 5) + data(1, packed(b"hello")),
        headers(1) + b"".join(parts(1, packed(b"hello"), 1)),
        headers(1) + data(1, packed(b"hello"), end=False) + data(1, b""),
        headers(1)
        + data(1, packed(b"hello"), end=False)
        + frame(HEADERS, END_HEADERS | END_STREAM, 1, literal_block([("x-trailer", "y")])),
        headers(1) + frame(0, END_STREAM | PADDED, 1, b"\x03" + packed(b"hello") + bytes(3)),
        headers(1) + frame(PING, 0, 0, bytes(8)) + data(1, packed(b"hello")),
        headers(1, more=[("content-length", "10")]) + data(1, packed(b"hello")),
        headers(1, more=[("grpc-encoding", "gzip")]) + data(1, compressed(b"hello")),
        headers(1, more=[("grpc-encoding", "gzip")]) + data(1, packed(b"hello")),
        headers(1, more=[("grpc-encoding", "identity")]) + data(1, packed(b"hello")),
        headers(1, more=[("content-type", "application/grpc+proto")]) + data(1, packed(b"hello")),
        frame(HEADERS, 0, 1, literal_block(request_fields())[:20])
        + frame(9, 0, 1, literal_block(request_fields())[20:25])
        + frame(9, END_HEADERS, 1, literal_block(request_fields())[25:])
        + data(1, packed(b"hello")),
        frame(HEADERS, END_HEADERS | 0x20, 1, b"\0\0\0\0\x0a" + literal_block(request_fields()))
        + data(1, packed(b"hello")),
    ],
)
def test_unusual_spelling_of_a_call_is_answered_alike(sent: bytes) -> None:
    client = Peer()

    client.send(sent)

    answer = client.answer(1)
    assert (packed(b"hello"), 0) == (answer.data, answer.status)


def test_handler_that_raises_fails_its_call_and_no_other() -> None:
    def handle(call: UnaryCall) -> None:
        if call.message == b"bad":
            raise ValueError("secret")
        if call.message == b"denied":
            raise Status(7, "no")
        call.answer(call.message)

    client = Peer({ECHO: unary(handle)}, status_of=lambda error: Status(13, str(type(error))))

    client.send(call(1, b"bad"), call(3, b"good"), call(5, b"denied"))

    answers = client.answers()
    assert [13, 0, 7] == [answers[number].status for number in (1, 3, 5)]
    assert "secret" not in answers[1].message


def test_second_answer_is_not_sent() -> None:
    def handle(call: UnaryCall) -> None:
        call.answer(b"first")
        call.answer(b"second")
        call.fail(Status(13))

    client = Peer({ECHO: unary(handle)})

    client.send(call(1))

    assert packed(b"first") == client.answer(1).data


def test_call_is_answered_later() -> None:
    waiting: list[UnaryCall] = []
    client = Peer({ECHO: unary(waiting.append)})
    client.send(call(1, b"a"), call(3, b"b"))
    assert 2 == client.shared.calls

    for one in reversed(waiting):
        one.answer(one.message)
    client.proceed()

    answers = client.answers()
    assert {1: packed(b"a"), 3: packed(b"b")} == {at: one.data for at, one in answers.items()}
    assert (0, 0) == (client.shared.calls, client.shared.streams)


@pytest.mark.parametrize("answered_before", [False, True])
def test_driver_is_woken_once_for_answers_outside_of_a_turn(answered_before: bool) -> None:
    waiting: list[UnaryCall] = []
    client = Peer({ECHO: unary(waiting.append), FAST: unary(lambda call: call.answer(b""))})
    if answered_before:
        client.send(call(1, path=FAST))
    client.send(call(3), call(5))
    woken: list[bool] = []
    client.connection.on_wake = lambda: woken.append(True)

    for one in waiting:
        one.answer(b"x")

    assert [True] == woken


def test_metadata_goes_both_ways() -> None:
    seen: list[object] = []

    def handle(call: UnaryCall) -> None:
        seen.extend(call.metadata)
        call.send_initial_metadata([("first", "one"), ("first-bin", b"\0\xff")])
        call.set_trailing_metadata([("last", "two")])
        call.answer(b"x")

    client = Peer({ECHO: unary(handle)})

    more = [("user-agent", "test"), ("x", "y"), ("z-bin", "AP8="), ("grpc-trace-bin", "AA")]
    client.send(call(1, more=more))

    assert [("user-agent", "test"), ("x", "y"), ("z-bin", b"\0\xff")] == seen
    answer = client.answer(1)
    assert ("one", "AP8") == (answer.head["first"], answer.head["first-bin"])
    assert {"grpc-status": "0", "last": "two"} == answer.trailers


@pytest.mark.parametrize(
    "metadata",
    [("UPPER", "x"), ("grpc-x", "x"), (":path", "x"), ("x", "ä"), ("x", "a\r\nb"), ("x-bin", "x")],
)
def test_impossible_metadata_fails_the_call(metadata: tuple[str, str]) -> None:
    def handle(call: UnaryCall) -> None:
        call.send_initial_metadata([metadata])
        call.answer(b"x")

    client = Peer({ECHO: unary(handle)})
    client.send(call(1), call(3))

    assert [2, 2] == [answer.status for answer in client.answers().values()]
    assert None is client.goaway()


def test_trailers_larger_than_a_frame_are_continued() -> None:
    metadata = [(f"x-{number}", "y" * 8_000) for number in range(5)]
    client = Peer({ECHO: unary(lambda call: call.fail(Status(9, "ä" * 10_000, b"", metadata)))})

    client.send(call(1))

    kinds = [item.kind for item in client.frames if item.stream_id]
    assert [HEADERS, CONTINUATION, CONTINUATION, CONTINUATION] == kinds
    block = b"".join(item.payload for item in client.frames if item.stream_id)
    pairs = hpack.Decoder(1_000_000).decode(block)
    fields = {str(name): str(value) for name, value in pairs}
    assert [("y" * 8_000)] * 5 == [fields[name] for name, _ in metadata]
    assert "%C3%A4" * 4_096 == fields["grpc-message"]


def test_status_with_impossible_metadata_becomes_internal() -> None:
    client = Peer({ECHO: unary(lambda call: call.fail(Status(9, metadata=[("X", "y")])))})

    client.send(call(1))

    assert 13 == client.answer(1).status


def test_answers_are_compressed_if_asked_and_accepted() -> None:
    def handle(call: UnaryCall) -> None:
        call.compress()
        call.answer(bytes(1000))

    client = Peer({ECHO: unary(handle)})
    client.send(call(1, more=[("grpc-accept-encoding", "identity, gzip")]), call(3))

    answers = client.answers()
    assert "gzip" == answers[1].head["grpc-encoding"]
    assert bytes(1000) == gzip.decompress(answers[1].data[5:])
    assert packed(bytes(1000)) == answers[3].data


def test_time_remaining_is_what_the_client_allows() -> None:
    seen: list[float | None] = []
    client = Peer({ECHO: unary(lambda call: seen.append(call.time_remaining()))})

    client.send(call(1, more=[("grpc-timeout", "2S")]), call(3))
    client.send(call(5, more=[("grpc-timeout", "1500m")]))

    assert [2.0, None, 1.5] == seen


def test_peer_that_uses_a_table_is_asked_to_use_none_and_then_found_again() -> None:
    client = Peer(hello=PREFACE + settings({}) + SETTINGS_ACK + WINDOW_GROWN)
    encoder = hpack.Encoder()
    for number in (1, 3, 5):
        block = encoder.encode(request_fields())
        client.send(frame(HEADERS, END_HEADERS, number, block) + data(number, packed(b"x")))
    asked = settings({SETTINGS_HEADER_TABLE_SIZE: 0})
    assert 1 == sum(frame(*item) == asked for item in client.of(SETTINGS))
    assert not client.connection.heads.known

    encoder.header_table_size = 0
    for number in (7, 9):
        block = encoder.encode(request_fields())
        ack = SETTINGS_ACK if number == 7 else b""
        client.send(ack + frame(HEADERS, END_HEADERS, number, block) + data(number, packed(b"x")))

    assert [0] * 5 == [answer.status for answer in client.answers().values()]
    assert client.connection.heads.known


def test_window_that_is_granted_between_head_and_message_counts() -> None:
    client = Peer({ECHO: unary(lambda call: call.answer(bytes(100_000)))})

    granted = headers(1) + window_update(1, 40_000) + data(1, packed(b"x"))
    client.send(granted, call(3))
    client.send(window_update(0, 1))

    answers = client.answers()
    assert (100_005, 0) == (len(answers[1].data), answers[1].status)
    assert 65_535 == len(answers[3].data)


@pytest.mark.parametrize(
    ("increment", "code"),
    [(0, ErrorCode.PROTOCOL_ERROR), (2**31 - 1, ErrorCode.FLOW_CONTROL_ERROR)],
)
def test_impossible_window_between_head_and_message_resets_the_stream(
    increment: int, code: ErrorCode
) -> None:
    client = Peer()

    client.send(headers(1), window_update(1, increment), data(1, packed(b"x")), call(3))

    answers = client.answers()
    assert code == answers[1].reset
    assert 0 == answers[3].status
