"""A client's side of a connection's machine: sends frames, reads what comes back. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import hpack

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Status
from sidecar.front.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME,
    FRAME_HEAD_BYTES,
    GOAWAY,
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS_ACK,
    frame,
    settings,
    window_update,
)
from sidecar.front.machine.connection import Connection
from sidecar.front.machine.messages import packed
from sidecar.front.machine.shared import Shared, unknown_error
from sidecar.front.methods import Method, unary

ECHO: Final = "/test.Service/Echo"
WINDOW_GROWN: Final = window_update(0, 2**31 - 1 - 65_535)
HELLO: Final = PREFACE + settings({}) + SETTINGS_ACK + WINDOW_GROWN


class Frame(NamedTuple):
    """A frame that was received."""

    kind: int
    flags: int
    stream_id: int
    payload: bytes

    @property
    def code(self) -> int:
        """The error code of RST_STREAM and GOAWAY."""
        assert self.kind in (RST_STREAM, GOAWAY)
        return int.from_bytes(self.payload[-4:] if self.kind == RST_STREAM else self.payload[4:8])


class Answer(NamedTuple):
    """What came back on one stream. `reset`: the code of a RST_STREAM that it ended with."""

    head: Mapping[str, str]
    data: bytes
    trailers: Mapping[str, str]
    ended: bool
    reset: int | None

    @property
    def status(self) -> int | None:
        """The gRPC status; None where there is none."""
        said = self.trailers.get("grpc-status", self.head.get("grpc-status"))
        return None if said is None else int(said)

    @property
    def message(self) -> str:
        """The status message as it was spelt."""
        return self.trailers.get("grpc-message", self.head.get("grpc-message", ""))


def split(data: bytes) -> Iterator[Frame]:
    """The frames in bytes that hold whole frames only."""
    at = 0
    while at < len(data):
        head, flags, stream_id = FRAME.unpack_from(data, at)
        stop = at + FRAME_HEAD_BYTES + (head >> 8)
        assert stop <= len(data), "the output ends within a frame"
        yield Frame(head & 0xFF, flags, stream_id, data[at + FRAME_HEAD_BYTES : stop])
        at = stop


def literal_block(fields: Sequence[tuple[str, str]]) -> bytes:
    """A header block of literals without indexing and without Huffman code."""

    def string(text: str) -> bytes:
        assert len(text) < 0x7F
        return bytes([len(text)]) + text.encode("latin-1")

    return b"".join(b"\0" + string(name) + string(value) for name, value in fields)


def request_fields(
    path: str = ECHO, more: Sequence[tuple[str, str]] = (), method: str = "POST"
) -> list[tuple[str, str]]:
    """The fields of a usual gRPC request."""
    return [
        (":method", method),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
        *more,
    ]


def headers(
    stream_id: int,
    path: str = ECHO,
    more: Sequence[tuple[str, str]] = (),
    *,
    flags: int = END_HEADERS,
) -> bytes:
    """A HEADERS frame with a request's head."""
    return frame(HEADERS, flags, stream_id, literal_block(request_fields(path, more)))


def data(stream_id: int, content: bytes, *, end: bool = True) -> bytes:
    """A DATA frame."""
    return frame(DATA, END_STREAM if end else 0, stream_id, content)


def call(
    stream_id: int,
    message: bytes = b"hello",
    path: str = ECHO,
    more: Sequence[tuple[str, str]] = (),
) -> bytes:
    """A whole unary call in two frames."""
    return headers(stream_id, path, more) + data(stream_id, packed(message))


def echo() -> Method:
    """Answers a unary call with its message."""
    return unary(lambda call: call.answer(call.message))


def answers_in(frames: Iterable[Frame]) -> dict[int, Answer]:
    """What came on each stream, in all frames of a server's side of a connection."""
    decoder = hpack.Decoder()
    found: dict[int, Answer] = {}
    for item in frames:
        if item.stream_id and item.kind in (HEADERS, DATA, RST_STREAM):
            before = found.get(item.stream_id, Answer({}, b"", {}, False, None))
            found[item.stream_id] = _with(before, item, decoder)
    return found


def _with(answer: Answer, item: Frame, decoder: hpack.Decoder) -> Answer:
    assert not answer.ended or item.kind == RST_STREAM, "frame after the end of the stream"
    ended = answer.ended or bool(item.flags & END_STREAM)
    if item.kind == DATA:
        return answer._replace(data=answer.data + item.payload, ended=ended)
    if item.kind == RST_STREAM:
        return answer._replace(reset=item.code)
    fields = {str(name): str(value) for name, value in decoder.decode(item.payload)}
    if answer.head:
        return answer._replace(trailers=fields, ended=ended)
    return answer._replace(head=fields, ended=ended)


class Peer:
    """A client of one connection. `refused`: the kinds of refusals, in order."""

    def __init__(
        self,
        methods: Mapping[str, Method] | None = None,
        bounds: Bounds | None = None,
        *,
        shared: Shared | None = None,
        status_of: Callable[[Exception], Status] = unknown_error,
        hello: bytes = HELLO,
    ) -> None:
        self.now = 1.0
        self.refused: list[str] = []
        self.shared = shared or Shared(
            methods or {ECHO: echo()},
            bounds or Bounds(),
            refused=self.refused.append,
            status_of=status_of,
            clock=lambda: self.now,
        )
        self.connection = Connection(self.shared, "unix:", self.now)
        self.frames: list[Frame] = []  # all that came
        self.turns = 0
        if hello:
            self.send(hello)

    def send(self, *parts: bytes) -> list[Frame]:
        """Send in one read; the frames that come back until all of it is handled."""
        self.turns = 0
        self._turn(lambda: self.connection.receive(b"".join(parts), self.now))
        return self._go_on()

    def proceed(self) -> list[Frame]:
        """Let the connection go on outside of a read."""
        self.turns = 0
        self._turn(lambda: self.connection.proceed(self.now))
        return self._go_on()

    def _go_on(self) -> list[Frame]:
        first = len(self.frames)
        self._take()
        output = self.connection.output
        while (self.connection.more or (output.ready and output.window > 0)) and not output.paused:
            self._turn(lambda: self.connection.proceed(self.now))
            self._take()
        return self.frames[first:]

    def _turn(self, begin: Callable[[], Sequence[object]]) -> None:
        self.turns += 1
        begin()
        for call in list(self.connection.calls):
            call.handle()
        self.connection.settle()

    def _take(self) -> None:
        parts = self.connection.output.parts
        self.frames += split(b"".join(parts))
        parts.clear()
        self.connection.sent()

    def of(self, kind: int) -> list[Frame]:
        """All frames of a kind that came so far."""
        return [frame for frame in self.frames if frame.kind == kind]

    def goaway(self) -> int | None:
        """The code of the last GOAWAY; None: there was none."""
        found = self.of(GOAWAY)
        return found[-1].code if found else None

    def answers(self) -> dict[int, Answer]:
        """What came on each stream so far."""
        return answers_in(self.frames)

    def answer(self, stream_id: int = 1) -> Answer:
        """What came on one stream so far."""
        return self.answers()[stream_id]
