"""Flow control in both directions, and turns that are bounded."""

from __future__ import annotations

import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.errors import ErrorCode
from sidecar.front.frames import (
    DATA,
    SETTINGS_INITIAL_WINDOW_SIZE,
    WINDOW_UPDATE,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine import requests
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.peer import ECHO, HELLO, Peer, call, data, echo, headers

STREAM = "/test.Service/Stream"
SMALL_WINDOW = settings({SETTINGS_INITIAL_WINDOW_SIZE: 10})


def peer(bounds: Bounds | None = None, *, hello: bytes = HELLO) -> Peer:
    methods = {ECHO: echo(), STREAM: bidi_stream(lambda requests, _: requests)}
    return Peer(methods, bounds, hello=hello)


def credit(client: Peer, stream_id: int) -> int:
    """What the peer was allowed to send beyond the window that it began with."""
    frames = client.of(WINDOW_UPDATE)
    return sum(int.from_bytes(item.payload) for item in frames if item.stream_id == stream_id)


def test_answer_waits_for_the_streams_window() -> None:
    client = peer()
    client.send(SMALL_WINDOW, call(1, bytes(20)))
    assert [10] == [len(item.payload) for item in client.of(DATA)]

    client.send(window_update(1, 5))
    client.send(window_update(1, 5))
    client.send(window_update(1, 500))

    assert [10, 5, 5, 5] == [len(item.payload) for item in client.of(DATA)]
    assert 0 == client.shared.queued_bytes


def test_answers_wait_for_the_connections_window_and_take_turns() -> None:
    hello = HELLO[: -len(window_update(0, 1))]  # the initial window, and no more
    large = 100_000
    client = Peer({ECHO: unary(lambda call: call.answer(bytes(large)))}, hello=hello)

    client.send(call(1), call(3))
    assert 65_535 == sum(len(item.payload) for item in client.of(DATA))
    for number in (1, 3):
        client.send(window_update(number, 100_000))
    client.send(window_update(0, 200_000))

    order = [item.stream_id for item in client.of(DATA)]
    assert sorted([1, 3] * 2) == sorted(order[5:9])
    answers = client.answers()
    assert [large + 5] * 2 == [len(answers[number].data) for number in (1, 3)]
    assert [0, 0] == [answers[number].status for number in (1, 3)]


def test_smaller_initial_window_takes_back_what_was_granted() -> None:
    client = Peer({ECHO: unary(lambda call: call.answer(bytes(100_000)))})
    client.send(call(1))
    assert 65_535 == sum(len(item.payload) for item in client.of(DATA))

    client.send(settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}), window_update(1, 65_535))
    assert 65_535 == sum(len(item.payload) for item in client.of(DATA))
    client.send(window_update(1, 1))

    assert 65_536 == sum(len(item.payload) for item in client.of(DATA))


def test_reset_stream_leaves_nothing_in_the_queue() -> None:
    client = peer()
    client.send(SMALL_WINDOW, call(1, bytes(1_000)))
    assert 995 == client.shared.queued_bytes

    client.send(rst_stream(1, ErrorCode.CANCEL))

    assert (0, 0, 0) == (
        client.shared.queued_bytes,
        client.shared.streams,
        client.connection.output.queued_bytes,
    )


def test_connections_window_is_given_back_in_large_steps() -> None:
    client = peer(Bounds(connection_window_bytes=100_000))

    for number in range(1, 401, 2):
        client.send(call(number, bytes(1_000)))

    updates = [item for item in client.of(WINDOW_UPDATE) if item.stream_id == 0]
    assert 5 >= len(updates) >= 4
    assert 100_000 - 65_535 + 200 * 1_005 - 50_000 < credit(client, 0)


def test_message_gets_the_credit_that_it_needs_once_its_length_is_known() -> None:
    client = peer()

    client.send(headers(1), data(1, PREFIX.pack(0, 1_000_000) + bytes(100), end=False))

    assert 1_000_005 - 65_535 == credit(client, 1)


def test_stream_gets_credit_only_for_what_was_taken() -> None:
    client = peer()
    message = packed(bytes(9_995))
    client.send(headers(1, STREAM), *(data(1, message, end=False) for _ in range(6)))
    stream = client.connection.streams[1]
    assert 0 == credit(client, 1)

    for _ in range(4):
        requests.take(client.connection, stream)
    client.proceed()

    assert 40_000 == credit(client, 1)
    assert 2 == len(stream.inbox)


def test_more_calls_than_a_turn_may_handle_take_several() -> None:
    handled: list[int] = []
    client = Peer(
        {ECHO: unary(lambda call: handled.append(call.stream_id))}, Bounds(calls_per_turn=10)
    )

    client.send(*(call(number) for number in range(1, 100, 2)))

    assert list(range(1, 100, 2)) == handled
    assert 5 == client.turns


def test_more_frames_than_a_turn_may_handle_take_several() -> None:
    client = peer(Bounds(work_per_turn=100))

    client.send(*(settings({}) for _ in range(20)), *(call(n) for n in range(1, 9, 2)))
    assert 1 == client.turns
    client.send(*(headers(n, STREAM) for n in range(9, 99, 2)))

    assert client.turns > 3
    assert 45 == client.shared.calls


def test_nothing_is_handled_while_the_socket_takes_nothing() -> None:
    client = peer()
    client.connection.pause(client.now)

    client.send(call(1))
    assert {} == client.answers()
    client.connection.resume()
    client.proceed()

    assert 0 == client.answer(1).status


def test_answers_queue_while_the_socket_takes_nothing() -> None:
    waiting: list[UnaryCall] = []
    client = Peer({ECHO: unary(waiting.append)})
    client.send(call(1))
    client.connection.pause(client.now)

    waiting[0].answer(b"late")
    client.proceed()
    assert [] == client.of(DATA)
    client.connection.resume()
    client.proceed()

    assert packed(b"late") == client.answer(1).data


@pytest.mark.parametrize("size", [1, 7, 100])
def test_bytes_may_come_in_pieces(size: int) -> None:
    client = Peer(hello=b"")
    sent = HELLO + call(1, b"one") + headers(3, STREAM) + call(5, b"two")

    for at in range(0, len(sent), size):
        client.send(sent[at : at + size])

    answers = client.answers()
    assert [packed(b"one"), packed(b"two")] == [answers[number].data for number in (1, 5)]
