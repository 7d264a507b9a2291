"""What time does: deadlines, silence, slowness; and how a connection leaves."""

from __future__ import annotations

import pytest

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import (
    ACK,
    END_HEADERS,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    SETTINGS_INITIAL_WINDOW_SIZE,
    STREAM_ID_MAX,
    frame,
    settings,
)
from sidecar.front.machine import timeouts
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.control_frames import KEEPALIVE_PING, LEAVING_PING
from sidecar.front.machine.events import What
from sidecar.front.machine.messages import packed
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.timers import Timers
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.peer import (
    ECHO,
    HELLO,
    Peer,
    call,
    data,
    echo,
    headers,
    literal_block,
    request_fields,
)

STREAM = "/test.Service/Stream"
TIMEOUT = [("grpc-timeout", "5S")]


class Waiting:
    """A client with calls that wait to be answered."""

    def __init__(self, bounds: Bounds | None = None, *, hello: bytes = HELLO) -> None:
        self.calls: list[UnaryCall] = []
        stream = bidi_stream(lambda requests, _: requests)
        methods = {ECHO: unary(self.calls.append), STREAM: stream}
        self.client = Peer(methods, bounds, hello=hello)

    def pass_seconds(self, seconds: float) -> None:
        client = self.client
        client.now += seconds
        client.shared.timers.expire(client.now, 100)
        timeouts.check(client.connection, client.now)
        client.proceed()


def test_call_that_waits_at_its_deadline_is_answered() -> None:
    waiting = Waiting()
    waiting.client.send(call(1, more=TIMEOUT), call(3))

    waiting.pass_seconds(4.9)
    assert {} == waiting.client.answers()
    waiting.pass_seconds(0.2)
    waiting.calls[0].answer(b"too late")
    waiting.client.proceed()

    assert Code.DEADLINE_EXCEEDED == waiting.client.answer(1).status
    assert waiting.calls[0].ended
    assert 1 == waiting.client.shared.calls


def test_request_that_is_not_whole_at_its_deadline_is_answered() -> None:
    waiting = Waiting()
    waiting.client.send(headers(1, more=TIMEOUT))

    waiting.pass_seconds(5.1)

    answer = waiting.client.answer(1)
    assert (Code.DEADLINE_EXCEEDED, ErrorCode.NO_ERROR) == (answer.status, answer.reset)


def test_call_that_was_answered_at_once_has_no_timer() -> None:
    client = Peer()

    client.send(*(call(number, more=TIMEOUT) for number in range(1, 99, 2)))

    assert 0 == len(client.shared.timers)


def test_behaviour_is_told_of_its_deadline() -> None:
    waiting = Waiting()
    waiting.client.send(headers(1, STREAM, more=TIMEOUT))
    waiting.client.connection.events.clear()

    waiting.pass_seconds(5.1)

    assert [What.ENDED] == [event.what for event in waiting.client.connection.events]
    assert Code.DEADLINE_EXCEEDED == waiting.client.answer(1).status


class Thing:
    """Something with a deadline."""

    def __init__(self) -> None:
        self.over = False
        self.expired_at: float | None = None

    def expire(self, now: float) -> None:
        self.over, self.expired_at = True, now


def test_timers_expire_in_order_and_forget_what_is_over() -> None:
    timers, things = Timers(), [Thing() for _ in range(10)]
    for deadline in (7, 3, 9, 1, 5, 0, 2, 8, 6, 4):
        timers.add(deadline, things[deadline])
    things[2].over = True

    timers.expire(4.0, most=3)

    assert [4.0, 4.0, None, 4.0, None] == [thing.expired_at for thing in things[:5]]
    assert 4 == timers.next_at()


def test_timers_do_not_grow_with_what_is_over() -> None:
    timers = Timers()
    for number in range(10_000):
        thing = Thing()
        timers.add(1_000_000.0 - number, thing)
        thing.over = True

    assert len(timers) < 200


def test_new_earliest_deadline_is_told() -> None:
    timers = Timers()
    told: list[float | None] = []
    timers.on_earlier = lambda: told.append(timers.next_at())

    for deadline in (5, 7, 3, 4):
        timers.add(deadline, Thing())

    assert [5, 3] == told


@pytest.mark.parametrize(
    ("sent", "seconds", "code", "kind"),
    [
        (b"", 11, ErrorCode.SETTINGS_TIMEOUT, "slow_preface"),
        (PREFACE + settings({}), 11, ErrorCode.SETTINGS_TIMEOUT, "slow_preface"),
        (HELLO + frame(HEADERS, 0, 1, b"\x82"), 11, ErrorCode.ENHANCE_YOUR_CALM, "slow_headers"),
        (HELLO + call(1)[:20], 31, ErrorCode.ENHANCE_YOUR_CALM, "slow_frame"),
    ],
)
def test_slow_connection_is_ended(sent: bytes, seconds: float, code: int, kind: str) -> None:
    waiting = Waiting(hello=sent)
    waiting.pass_seconds(seconds - 2)
    assert None is waiting.client.goaway()

    waiting.pass_seconds(2)

    assert code == waiting.client.goaway()
    assert [kind] == waiting.client.refused


@pytest.mark.parametrize(
    "sent",
    [
        headers(1),
        headers(1) + data(1, packed(bytes(100))[:50], end=False),
        headers(1, STREAM) + data(1, packed(bytes(100))[:50], end=False),
    ],
)
def test_request_without_progress_is_answered(sent: bytes) -> None:
    waiting = Waiting()
    waiting.client.send(sent)

    waiting.pass_seconds(31)

    assert Code.DEADLINE_EXCEEDED == waiting.client.answer(1).status
    assert ["slow_request"] == waiting.client.refused
    assert (0, 0) == (waiting.client.shared.streams, waiting.client.shared.received_bytes)


def test_request_that_is_refused_at_its_end_is_refused_if_that_does_not_come() -> None:
    waiting = Waiting()
    waiting.client.send(frame(HEADERS, END_HEADERS, 1, literal_block(request_fields(method="PUT"))))

    waiting.pass_seconds(31)

    assert "405" == waiting.client.answer(1).head[":status"]


def test_silent_stream_between_messages_is_left_alone() -> None:
    waiting = Waiting()
    waiting.client.send(headers(1, STREAM), data(1, packed(b"x"), end=False))

    waiting.pass_seconds(59)

    assert {} == waiting.client.answers()
    assert [] == waiting.client.refused


def test_answer_that_the_peer_does_not_take_is_given_up() -> None:
    client = Peer(hello=HELLO + settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}))
    client.send(call(1))

    client.now += 61
    timeouts.check(client.connection, client.now)
    client.proceed()

    assert ErrorCode.CANCEL == client.answer(1).reset
    assert ["stalled_output"] == client.refused
    assert 0 == client.shared.queued_bytes


def test_socket_that_takes_nothing_for_long_is_closed() -> None:
    client = Peer()
    client.connection.pause(client.now)

    client.now += 61
    timeouts.check(client.connection, client.now)

    assert Phase.CLOSED is client.connection.phase
    assert ["stalled_output"] == client.refused


def test_silent_peer_with_calls_under_way_is_pinged_and_given_up() -> None:
    waiting = Waiting()
    waiting.client.send(call(1))
    waiting.pass_seconds(61)
    assert [KEEPALIVE_PING] == [item.payload for item in waiting.client.of(PING)]

    waiting.pass_seconds(21)

    assert Phase.CLOSED is waiting.client.connection.phase
    assert ["keepalive"] == waiting.client.refused
    assert waiting.calls[0].ended
    assert 0 == waiting.client.shared.calls


def test_silent_peer_that_answers_pings_is_kept() -> None:
    waiting = Waiting()
    waiting.client.send(call(1))

    for _ in range(5):
        waiting.pass_seconds(61)
        waiting.client.send(frame(PING, ACK, 0, KEEPALIVE_PING))
        waiting.pass_seconds(21)

    assert Phase.OPEN is waiting.client.connection.phase
    assert 5 == len(waiting.client.of(PING))


def test_idle_connection_is_left_in_good_order() -> None:
    client = Peer(bounds=Bounds(idle_seconds=100))
    client.send(call(1))

    for _ in range(2):
        client.now += 101
        timeouts.check(client.connection, client.now)
        client.proceed()

    last = [int.from_bytes(item.payload[:4]) for item in client.of(GOAWAY)]
    assert [STREAM_ID_MAX, 1] == last
    assert ErrorCode.NO_ERROR == client.goaway()
    assert Phase.CLOSED is client.connection.phase
    assert [] == client.refused


def test_calls_that_cross_the_warning_are_served_and_later_ones_are_not() -> None:
    waiting = Waiting()
    client = waiting.client
    client.send(call(1))
    client.connection.warn()
    client.proceed()

    client.send(call(3), frame(PING, ACK, 0, LEAVING_PING), call(5))
    assert [1, 3] == [call.stream_id for call in waiting.calls]
    assert [STREAM_ID_MAX, 3] == [int.from_bytes(item.payload[:4]) for item in client.of(GOAWAY)]
    for one in waiting.calls:
        one.answer(b"x")
    client.proceed()

    assert {1, 3} == set(client.answers())
    assert Phase.CLOSED is client.connection.phase


def test_the_look_at_time_is_as_frequent_as_the_shortest_bound_needs() -> None:
    assert pytest.approx(2.5) == timeouts.interval_seconds(Bounds())
    assert pytest.approx(0.25) == timeouts.interval_seconds(Bounds(request_seconds=1))
    assert pytest.approx(0.02) == timeouts.interval_seconds(Bounds(request_seconds=0.001))


def test_echo_leaves_nothing_behind() -> None:
    client = Peer({ECHO: echo()})

    client.send(*(call(number, bytes(10_000)) for number in range(1, 99, 2)))

    shared = client.shared
    assert (0, 0, 0, 0) == (
        shared.calls,
        shared.streams,
        shared.received_bytes,
        shared.queued_bytes,
    )
