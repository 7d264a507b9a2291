"""A client that keeps to the advertised number of streams is refused none, whatever it mixes."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.front.bounds import Bounds
from sidecar.front.errors import ErrorCode
from sidecar.front.frames import CONTINUATION, END_HEADERS, HEADERS, frame, rst_stream
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.messages import PREFIX, packed
from sidecar.front.methods import bidi_stream, unary
from tests.support.front.peer import (
    ECHO,
    Peer,
    data,
    echo,
    headers,
    literal_block,
    request_fields,
)

SLOW = "/test.Service/Slow"
STREAM = "/test.Service/Stream"
BOUNDS = Bounds(streams_max=12, calls_per_turn=5)
PACKED = PREFIX.pack(1, len(gzip.compress(b"x"))) + gzip.compress(b"x")

Begin = Callable[[int], Sequence[bytes]]


def in_two_blocks(number: int, path: str) -> Sequence[bytes]:
    block = literal_block(request_fields(path))
    head = frame(HEADERS, 0, number, block[:9]) + frame(
        CONTINUATION, END_HEADERS, number, block[9:]
    )
    return [head, data(number, packed(b"x"))]


KINDS: dict[str, Begin] = {
    "answered at once": lambda number: [headers(number), data(number, packed(b"x"))],
    "answered later": lambda number: [headers(number, SLOW), data(number, packed(b"x"))],
    "in three frames": lambda number: [
        headers(number, SLOW),
        data(number, packed(b"x"), end=False),
        data(number, b""),
    ],
    "in two blocks": lambda number: in_two_blocks(number, SLOW),
    "at once, in two blocks": lambda number: in_two_blocks(number, ECHO),
    "compressed": lambda number: [
        headers(number, SLOW, [("grpc-encoding", "gzip")]),
        data(number, PACKED),
    ],
    "stream": lambda number: [headers(number, STREAM), data(number, packed(b"x"), end=False)],
    "refused": lambda number: [headers(number, "/test.Service/None"), data(number, b"")],
}


class Client:
    """Knows which of its streams are open, and opens no more than it may."""

    def __init__(self) -> None:
        self.waiting: dict[int, UnaryCall] = {}
        methods = {ECHO: echo(), SLOW: unary(self._keep), STREAM: bidi_stream(lambda came, _: came)}
        self.peer = Peer(methods, BOUNDS)
        self.open: dict[int, str] = {}
        self.number = 1
        self.frames_seen = 0

    def _keep(self, call: UnaryCall) -> None:
        self.waiting[call.stream_id] = call

    def begin(self, kinds: Sequence[str], *, whole: bool) -> None:
        """Begin as many calls as may be, in one read or, each but for its last frame, in two."""
        reads: tuple[list[bytes], list[bytes]] = ([], [])
        for kind in kinds[: BOUNDS.streams_max - len(self.open)]:
            *first, last = KINDS[kind](self.number)
            reads[0].extend(first)
            reads[not whole].append(last)
            self.open[self.number] = kind
            self.number += 2
        for read in reads:
            self.peer.send(*read)
        self.look()

    def answer(self, count: int) -> None:
        """Let the server answer the oldest of those that wait."""
        for number in list(self.waiting)[:count]:
            self.waiting.pop(number).answer(b"")
        self.peer.proceed()
        self.look()

    def give_up(self, count: int, kinds: Sequence[str]) -> None:
        """Reset the oldest, and begin others in the same read."""
        resets = [rst_stream(number, ErrorCode.CANCEL) for number in list(self.open)[:count]]
        for number in list(self.open)[:count]:
            del self.open[number]
        begun: list[bytes] = []
        for kind in kinds[: BOUNDS.streams_max - len(self.open)]:
            begun.extend(KINDS[kind](self.number))
            self.open[self.number] = kind
            self.number += 2
        self.peer.send(*resets, *begun)
        self.look()

    def look(self) -> None:
        """See which streams have ended. The server may have refused none."""
        answers = self.peer.answers()
        assert "streams" not in self.peer.refused
        for number in list(self.open):
            answer = answers.get(number)
            if answer is not None and (answer.ended or answer.reset is not None):
                assert ErrorCode.REFUSED_STREAM != answer.reset
                del self.open[number]


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_as_many_streams_as_advertised_may_be_open(kind: str, *, whole: bool) -> None:
    client = Client()

    for _ in range(4):
        client.begin([kind] * BOUNDS.streams_max, whole=whole)
        client.answer(BOUNDS.streams_max // 2)

    beyond = BOUNDS.streams_max - len(client.open)
    client.peer.send(
        *(headers(client.number + 2 * at, STREAM) for at in range(beyond + 1)),
    )
    assert ["streams"] == [kind for kind in client.peer.refused if kind == "streams"]


several = st.lists(st.sampled_from(list(KINDS)), max_size=BOUNDS.streams_max)
steps = st.one_of(
    st.tuples(st.just("begin"), several, st.booleans()),
    st.tuples(st.just("answer"), st.integers(1, BOUNDS.streams_max)),
    st.tuples(st.just("give up"), st.integers(1, 4), several),
)


@given(st.lists(steps, max_size=12))
def test_no_mix_of_calls_within_the_advertised_number_is_refused(
    steps: Sequence[tuple[object, ...]],
) -> None:
    client = Client()

    for step in steps:
        match step:
            case "begin", list(kinds), bool(whole):
                client.begin(kinds, whole=whole)
            case "answer", int(count):
                client.answer(count)
            case "give up", int(count), list(kinds):
                client.give_up(count, kinds)

    assert None is client.peer.goaway()
