"""Requests that no method gets to see: not gRPC, not known, or not what the method takes."""

from __future__ import annotations

import gzip

import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import END_HEADERS, END_STREAM, HEADERS, frame
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.peer import (
    ECHO,
    Peer,
    call,
    data,
    headers,
    literal_block,
    request_fields,
)

GZIP = [("grpc-encoding", "gzip")]


def request(method: str = "POST", *, content_type: str = "application/grpc") -> bytes:
    fields = [item for item in request_fields(method=method) if item[0] != "content-type"]
    block = literal_block([*fields, ("content-type", content_type)])
    return frame(HEADERS, END_HEADERS, 1, block)


@pytest.mark.parametrize("method", ["GET", "PUT", "OPTIONS"])
def test_other_http_method_is_answered_405_at_the_end_of_the_request(method: str) -> None:
    client = Peer()
    client.send(request(method))
    assert {} == client.answers()

    client.send(data(1, b"x"))

    answer = client.answer(1)
    assert ("405", "POST") == (answer.head[":status"], answer.head["allow"])
    assert answer.data.startswith(b"This server speaks gRPC")
    assert (True, None) == (answer.ended, answer.reset)


def test_head_is_answered_without_content() -> None:
    client = Peer()

    client.send(request("HEAD"), data(1, b""))

    answer = client.answer(1)
    assert ("405", b"", True) == (answer.head[":status"], answer.data, answer.ended)


@pytest.mark.parametrize("content_type", ["text/html", "application/grpc-web", ""])
def test_other_content_type_is_answered_415(content_type: str) -> None:
    client = Peer()

    client.send(request(content_type=content_type), data(1, b"x"))

    assert "415" == client.answer(1).head[":status"]


def test_refused_request_that_goes_on_is_answered_before_its_end() -> None:
    client = Peer()

    client.send(request("PUT"), *(data(1, bytes(16_384), end=False) for _ in range(3)))

    answer = client.answer(1)
    assert ("405", ErrorCode.NO_ERROR) == (answer.head[":status"], answer.reset)


@pytest.mark.parametrize(
    ("fields", "code", "text"),
    [
        (request_fields("/test.Service/Nothing"), Code.UNIMPLEMENTED, "Method not found!"),
        (request_fields("/nothing.Service/Echo"), Code.UNIMPLEMENTED, "Method not found!"),
        (request_fields("nothing"), Code.UNIMPLEMENTED, "Method not found!"),
        (request_fields(more=[("grpc-timeout", "1")]), Code.INTERNAL, "grpc-timeout"),
        (request_fields(more=[("grpc-timeout", "123456789S")]), Code.INTERNAL, "grpc-timeout"),
        (request_fields(more=[("grpc-timeout", "-1S")]), Code.INTERNAL, "grpc-timeout"),
        (request_fields(more=[("grpc-encoding", "br")]), Code.UNIMPLEMENTED, "br"),
        ([item for item in request_fields() if item[0] != "te"], Code.INTERNAL, "te"),
    ],
)
def test_request_that_cannot_be_answered_ends_with_trailers_only(
    fields: list[tuple[str, str]], code: Code, text: str
) -> None:
    client = Peer()

    client.send(frame(HEADERS, END_HEADERS, 1, literal_block(fields)), data(1, packed(b"x")))
    client.send(call(3))

    answers = client.answers()
    assert (code, "200") == (answers[1].status, answers[1].head[":status"])
    assert text in answers[1].message
    assert (True, b"") == (answers[1].ended, answers[1].data)
    assert 0 == answers[3].status


def test_unknown_compression_is_told_what_is_known() -> None:
    client = Peer()

    client.send(headers(1, more=[("grpc-encoding", "snappy")]))

    assert "identity,gzip" == client.answer(1).head["grpc-accept-encoding"]


@pytest.mark.parametrize(
    ("content", "more", "code"),
    [
        (b"", [], Code.UNIMPLEMENTED),
        (packed(b"a") + packed(b"b"), [], Code.UNIMPLEMENTED),
        (packed(b"abc")[:-1], [], Code.INTERNAL),
        (packed(b"abc") + b"\0", [], Code.INTERNAL),
        (b"\2\0\0\0\0", [], Code.INTERNAL),
        (PREFIX.pack(1, 20) + bytes(20), [], Code.INTERNAL),
        (PREFIX.pack(1, 20) + bytes(20), GZIP, Code.INTERNAL),
        (PREFIX.pack(1, 30) + gzip.compress(bytes(100), mtime=0)[:30], GZIP, Code.INTERNAL),
        (PREFIX.pack(1, 0), GZIP, Code.INTERNAL),
    ],
)
def test_content_that_is_not_one_message_fails_the_call(
    content: bytes, more: list[tuple[str, str]], code: Code
) -> None:
    client = Peer()

    client.send(headers(1, more=more), data(1, content), call(3))

    answers = client.answers()
    assert code == answers[1].status
    assert 0 == answers[3].status


def test_message_beyond_the_bound_is_refused_before_it_has_come() -> None:
    client = Peer(bounds=Bounds(message_bytes_max=1000))

    client.send(headers(1), data(1, PREFIX.pack(0, 1001), end=False), call(3, bytes(1000)))

    answers = client.answers()
    assert (Code.RESOURCE_EXHAUSTED, ErrorCode.NO_ERROR) == (answers[1].status, answers[1].reset)
    assert "SERVER: Received message larger than max (1001 vs. 1000)" == answers[1].message
    assert 0 == answers[3].status
    assert ["message_bytes"] == client.refused


def test_message_beyond_the_bound_once_decompressed_is_refused() -> None:
    client = Peer(bounds=Bounds(message_bytes_max=100_000))
    bomb = gzip.compress(bytes(100_001))

    client.send(headers(1, more=GZIP), data(1, PREFIX.pack(1, len(bomb)) + bomb), call(3))

    answers = client.answers()
    assert Code.RESOURCE_EXHAUSTED == answers[1].status
    assert 0 == answers[3].status
    assert ["message_bytes"] == client.refused
    assert 0 == client.shared.received_bytes


def test_large_compressed_message_takes_many_turns_and_keeps_the_order() -> None:
    seen: list[int] = []
    client = Peer({ECHO: unary(lambda call: seen.append(len(call.message)))})
    content = gzip.compress(bytes(4_000_000))

    client.send(headers(1, more=GZIP), data(1, PREFIX.pack(1, len(content)) + content), call(3))

    assert [4_000_000, 5] == seen
    assert client.turns > 5


def test_stream_that_ends_within_a_message_fails() -> None:
    client = Peer({ECHO: bidi_stream(lambda requests, _: requests)})

    client.send(headers(1), data(1, packed(b"a") + b"\0\0"))

    assert Code.INTERNAL == client.answer(1).status


def test_request_without_content_to_a_stream_is_no_fault() -> None:
    client = Peer({ECHO: bidi_stream(lambda requests, _: requests)})

    client.send(headers(1, flags=END_HEADERS | END_STREAM))

    assert {} == client.answers()
    assert 1 == client.shared.calls
