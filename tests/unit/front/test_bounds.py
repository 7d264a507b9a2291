"""Every bound: what a peer hears that passes it, and what is counted."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import hpack
import pytest

from sidecar.front.bounds import Allowance, Bounds
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import (
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    SETTINGS_ACK,
    frame,
    rst_stream,
    settings,
    window_update,
)
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, unary, unary_async
from tests.support.front.peer import (
    ECHO,
    Peer,
    call,
    data,
    echo,
    headers,
    literal_block,
    request_fields,
)

SLOW = "/test.Service/Slow"
STREAM = "/test.Service/Stream"
FEW = Allowance(20, 0, 1, 1)


def never(_call: UnaryCall) -> None:
    """Leaves its call without an answer."""


def peer(bounds: Bounds) -> Peer:
    stream = bidi_stream(lambda requests, _: requests)
    return Peer({ECHO: echo(), SLOW: unary(never), STREAM: stream}, bounds)


def odd(count: int, first: int = 1) -> Iterable[int]:
    return range(first, first + 2 * count, 2)


FLOODS: dict[str, tuple[Bounds, Callable[[int], bytes]]] = {
    "ping_flood": (Bounds(pings=FEW), lambda _: frame(PING, 0, 0, bytes(8))),
    "settings_flood": (Bounds(settings=FEW), lambda _: settings({})),
    "window_update_flood": (Bounds(window_updates=FEW), lambda _: window_update(1, 1)),
    "priority_flood": (Bounds(priorities=FEW), lambda _: frame(PRIORITY, 0, 1, bytes(5))),
    "unknown_frame_flood": (Bounds(unknown_frames=FEW), lambda _: frame(77, 0, 0, b"")),
    "rapid_reset": (Bounds(resets=FEW), lambda at: headers(at + 2, SLOW) + rst_stream(at + 2, 8)),
    "empty_frame_flood": (Bounds(empty_frames=FEW), lambda _: data(1, b"", end=False)),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_flood_ends_the_connection(kind: str) -> None:
    bounds, one = FLOODS[kind]
    client = peer(bounds)
    client.send(headers(1, STREAM))

    for at in odd(18):
        client.send(one(at))
    assert None is client.goaway()
    for at in odd(30, 101):
        client.send(one(at))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert [kind] == client.refused


@pytest.mark.parametrize("kind", [kind for kind in FLOODS if kind != "empty_frame_flood"])
def test_same_frames_among_useful_calls_are_no_flood(kind: str) -> None:
    bounds, one = FLOODS[kind]
    client = peer(bounds)

    for at in range(1, 1001, 4):
        client.send(call(at), one(at))

    assert None is client.goaway()
    assert [] == client.refused


def test_faults_that_make_the_server_reset_streams_are_a_flood_of_resets() -> None:
    client = peer(Bounds(resets=Allowance(20, 0, 0)))

    for number in odd(30):
        client.send(headers(number, STREAM), window_update(number, 0))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert "rapid_reset" == client.refused[-1]
    assert 0 == client.shared.streams


def test_time_gives_allowances_back() -> None:
    client = peer(Bounds(pings=Allowance(5, 1, 0)))

    for _ in range(100):
        client.now += 1
        client.send(frame(PING, 0, 0, bytes(8)))

    assert None is client.goaway()


def test_stream_beyond_the_advertised_maximum_is_refused() -> None:
    client = peer(Bounds(streams_max=3))
    client.send(*(headers(number, STREAM) for number in odd(3)))

    client.send(headers(7, STREAM), call(9))

    answers = client.answers()
    assert ErrorCode.REFUSED_STREAM == answers[7].reset
    assert ErrorCode.REFUSED_STREAM == answers[9].reset
    assert ["streams", "streams"] == client.refused


def test_more_calls_than_streams_in_one_read_are_answered_if_each_is_at_once() -> None:
    client = peer(Bounds(streams_max=3))

    client.send(*(call(number) for number in odd(20)))

    assert [0] * 20 == [answer.status for answer in client.answers().values()]


def test_stream_beyond_the_maximum_of_all_connections_is_refused() -> None:
    first = peer(Bounds(streams_in_all_max=2))
    second = Peer(shared=first.shared)
    first.send(headers(1, STREAM))
    second.send(headers(1, STREAM))

    second.send(headers(3, STREAM), call(5))

    answers = second.answers()
    assert ErrorCode.REFUSED_STREAM == answers[3].reset
    assert 0 == answers[5].status


@pytest.mark.parametrize("path", [SLOW, STREAM])
def test_call_beyond_the_calls_under_way_is_answered_resource_exhausted(path: str) -> None:
    first = peer(Bounds(calls_max=4))
    second = Peer(shared=first.shared)
    for client in (first, second):
        client.send(*(call(number, path=path) for number in odd(3)))

    second.send(*(call(number) for number in odd(100, 11)))

    answers = second.answers()
    assert [Code.RESOURCE_EXHAUSTED, Code.RESOURCE_EXHAUSTED] == [
        answers[number].status for number in (3, 5)
    ]
    assert [0] * 100 == [answers[number].status for number in odd(100, 11)]
    assert 4 == first.shared.calls
    assert ["calls", "calls"] == first.refused


def test_task_beyond_the_calls_under_way_is_not_started() -> None:
    async def behaviour(data: bytes, _context: object) -> bytes:
        return data

    client = Peer({ECHO: unary_async(behaviour)}, Bounds(calls_max=1))

    client.send(call(1), call(3))

    assert 1 == len(client.connection.events)
    assert Code.RESOURCE_EXHAUSTED == client.answer(3).status


def test_too_many_continuations_end_the_connection() -> None:
    client = peer(Bounds(continuations_max=3))
    more = [frame(CONTINUATION, 0, 1, b"\x82") for _ in range(4)]

    client.send(frame(HEADERS, 0, 1, b"\x82"), *more)

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert ["header_block"] == client.refused


def test_header_block_beyond_the_bound_ends_the_connection() -> None:
    client = peer(Bounds(header_block_bytes_max=20_000))

    client.send(frame(HEADERS, 0, 1, bytes(16_000)), frame(CONTINUATION, 0, 1, bytes(4_001)))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert ["header_block"] == client.refused


def stateless(client: Peer) -> None:
    """Make a client give up its header table."""
    for number in (1, 3):
        client.send(frame(HEADERS, END_HEADERS, number, b"\x20" + literal_block(request_fields())))
    client.send(SETTINGS_ACK)
    client.send(frame(HEADERS, END_HEADERS, 5, b"\x20" + literal_block(request_fields())))


def test_header_list_beyond_the_bound_is_answered_resource_exhausted() -> None:
    client = peer(Bounds(header_list_bytes_max=2_000))
    stateless(client)
    more = [(f"x-{number}", "y" * 100) for number in range(20)]

    client.send(call(7, more=more), call(9))

    answers = client.answers()
    assert Code.RESOURCE_EXHAUSTED == answers[7].status
    assert 0 == answers[9].status
    assert ["header_list"] == client.refused


def test_trailers_beyond_the_bound_reset_the_stream() -> None:
    client = peer(Bounds(header_list_bytes_max=2_000))
    stateless(client)
    more = literal_block([(f"x-{number}", "y" * 100) for number in range(20)])

    client.send(headers(7, STREAM), frame(HEADERS, END_HEADERS | END_STREAM, 7, more), call(9))

    answers = client.answers()
    assert ErrorCode.ENHANCE_YOUR_CALM == answers[7].reset
    assert 0 == answers[9].status


def test_late_frames_are_bounded() -> None:
    client = peer(Bounds(late_frames=Allowance(20, 0)))
    client.send(headers(1, "/nothing.Of/ThatName"))

    client.send(*(data(1, b"x", end=False) for _ in range(21)))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert ["late_frames"] == client.refused


def test_references_to_a_table_cannot_make_a_list_larger_than_the_bound() -> None:
    client = peer(Bounds(header_list_bytes_max=8_000))
    encoder = hpack.Encoder()
    block = encoder.encode([*request_fields(), ("x-bomb", "y" * 3_000)])
    reference = encoder.encode([("x-bomb", "y" * 3_000)])
    assert 1 == len(reference)

    client.send(frame(HEADERS, END_HEADERS, 1, block + reference * 10_000))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert ["header_list"] == client.refused


def test_many_tiny_messages_count_for_more_than_their_bytes() -> None:
    client = peer(Bounds(received_bytes_connection_max=100_000))

    client.send(headers(1, STREAM), data(1, packed(b"") * 3_000, end=False))

    assert Code.RESOURCE_EXHAUSTED == client.answer(1).status
    assert ["received_bytes"] == client.refused
    assert 0 == client.shared.received_bytes


def test_messages_of_calls_under_way_are_bounded_too() -> None:
    # Five messages with their heads.
    client = peer(Bounds(received_bytes_connection_max=55_000))

    client.send(*(call(number, bytes(10_000), SLOW) for number in odd(8)))

    answers = client.answers()
    assert [Code.RESOURCE_EXHAUSTED] * 3 == [answers[number].status for number in (11, 13, 15)]
    assert 5 == client.shared.calls
    assert {"received_bytes"} == set(client.refused)


def test_bytes_that_no_behaviour_takes_are_bounded_over_all_connections() -> None:
    first = peer(Bounds(received_bytes_max=100_000))
    second = Peer(shared=first.shared)
    start = data(1, PREFIX.pack(0, 1_000_000), end=False)
    first.send(headers(1, STREAM), start, *(data(1, bytes(15_000), end=False) for _ in range(3)))

    second.send(headers(1, STREAM), start, *(data(1, bytes(15_000), end=False) for _ in range(4)))

    assert {} == first.answers()
    assert Code.RESOURCE_EXHAUSTED == second.answer(1).status
    assert 0 < first.shared.received_bytes < 100_000


def test_answers_that_the_peer_does_not_take_are_bounded() -> None:
    bounds = Bounds(queued_bytes_connection_max=200_000)
    client = Peer({ECHO: unary(lambda call: call.answer(bytes(90_000)))}, bounds)

    client.send(call(1), call(3), call(5), call(7))

    answers = client.answers()
    assert [65_535] * 3 == [len(answers[number].data) for number in (1, 3, 5)]
    assert Code.RESOURCE_EXHAUSTED == answers[7].status
    assert ["queued_bytes"] == client.refused
    assert 0 < client.shared.queued_bytes <= 200_000


def test_reset_of_a_stream_that_is_over_counts_too() -> None:
    client = peer(Bounds(resets=Allowance(20, 0, 0)))

    for number in odd(30):
        client.send(call(number), rst_stream(number, 8))

    assert ErrorCode.ENHANCE_YOUR_CALM == client.goaway()
    assert not client.of(RST_STREAM)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Bounds(stream_window_bytes=65_534),
        lambda: Bounds(connection_window_bytes=65_534),
    ],
)
def test_window_that_peers_may_exceed_before_they_know_is_no_bound(
    make: Callable[[], Bounds],
) -> None:
    with pytest.raises(ValueError, match="65535"):
        make()
