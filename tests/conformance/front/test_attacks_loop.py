"""The front on an event loop that others need, too: nobody keeps it, or a place, for ever."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import pytest

from sidecar.front import Bounds, Method, Server, bidi_stream, unary
from sidecar.front.errors import Code, ErrorCode
from sidecar.front.frames import (
    HEADERS,
    PREFACE,
    RST_STREAM,
    SETTINGS_ACK,
    SETTINGS_INITIAL_WINDOW_SIZE,
    frame,
    settings,
    window_update,
)
from sidecar.front.machine.messages import packed
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.front.peer import ECHO, HELLO, call, data, echo, headers
from tests.support.front.raw import raw
from tests.support.processes import until

STREAM: Final = "/test.Service/Stream"
LARGE: Final = "/test.Service/Large"
LARGE_BYTES: Final = 4_000_000


@asynccontextmanager
async def served(
    folder: Path, methods: Mapping[str, Method], bounds: Bounds, refused: list[str] | None = None
) -> AsyncIterator[str]:
    """A server on this loop; where it is. refused: is told the kinds of its refusals."""
    path = str(folder / "front.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    server = Server(methods, bounds, refused=(refused if refused is not None else []).append)
    await server.start(listening)
    try:
        async with asyncio.timeout(HANG_SECONDS_MAX):
            yield f"unix:{path}"
    finally:
        await server.stop(0)


class Rounds:
    """Counts what is done in each round of the loop."""

    def __init__(self) -> None:
        self.now = 0
        self.most = 0
        self.all = 0
        asyncio.get_running_loop().call_soon(self._next)

    def done(self) -> None:
        """Something was done."""
        self.now += 1
        self.all += 1

    def _next(self) -> None:
        self.most, self.now = max(self.most, self.now), 0
        asyncio.get_running_loop().call_soon(self._next)


async def test_behaviours_that_find_message_upon_message_let_go_of_the_loop(
    tmp_path: Path,
) -> None:
    rounds = Rounds()
    by_stream: dict[int, int] = {}
    spread: list[int] = []
    every = asyncio.Event()

    async def behaviour(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
        number = len(by_stream)
        by_stream[number] = 0
        async for _ in requests:
            rounds.done()
            by_stream[number] += 1
            if by_stream[number] == 500:
                spread.append(min(by_stream.values()))
            if rounds.all == 4_000:
                every.set()
            yield b""

    def sent() -> Iterator[bytes]:
        for number in (1, 3, 5, 7):
            yield headers(number, STREAM) + window_update(number, 1_000_000)
        for number in (1, 3, 5, 7):
            yield data(number, packed(b"") * 1_000, end=False)

    methods = {STREAM: bidi_stream(behaviour)}
    async with (
        served(tmp_path, methods, Bounds(calls_per_turn=10)) as address,
        raw(address) as peer,
    ):
        await peer.send(*sent())
        await every.wait()

    assert rounds.most <= 2 * 10, "the rounds of turns and of the loop begin at different places"
    assert {0: 1_000, 1: 1_000, 2: 1_000, 3: 1_000} == by_stream
    assert spread[0] > 400, "streams take turns"


async def echoed(requests: AsyncIterator[bytes], _context: object) -> AsyncIterator[bytes]:
    """Answers each message with itself."""
    async for message in requests:
        yield message


METHODS: Final = {
    ECHO: echo(),
    STREAM: bidi_stream(echoed),
    LARGE: unary(lambda call: call.answer(bytes(LARGE_BYTES))),
}
HASTY: Final = Bounds(
    preface_seconds=0.2,
    header_block_seconds=0.2,
    request_seconds=0.2,
    stalled_seconds=0.2,
    keepalive_seconds=0.2,
    keepalive_timeout_seconds=0.2,
)
NO_WINDOW: Final = PREFACE + settings({SETTINGS_INITIAL_WINDOW_SIZE: 0}) + SETTINGS_ACK
WIDE: Final = HELLO + settings({SETTINGS_INITIAL_WINDOW_SIZE: 2**31 - 1})
CALM: Final = ErrorCode.ENHANCE_YOUR_CALM


@pytest.mark.parametrize(
    ("sent", "code", "kind"),
    [
        (b"", ErrorCode.SETTINGS_TIMEOUT, "slow_preface"),
        (PREFACE[:9], ErrorCode.SETTINGS_TIMEOUT, "slow_preface"),
        (PREFACE + settings({}), ErrorCode.SETTINGS_TIMEOUT, "slow_preface"),
        (HELLO + frame(HEADERS, 0, 1, b"\x82"), CALM, "slow_headers"),
        (HELLO + call(1)[:20], CALM, "slow_frame"),
        (HELLO + headers(1, STREAM), ErrorCode.NO_ERROR, "keepalive"),
    ],
    ids=[
        "silence",
        "half a preface",
        "no acknowledgement",
        "half a head",
        "half a frame",
        "no pong",
    ],
)
async def test_slow_peer_is_ended(tmp_path: Path, sent: bytes, code: int, kind: str) -> None:
    refused: list[str] = []
    async with (
        served(tmp_path, METHODS, HASTY, refused) as address,
        raw(address) as honest,
        raw(address, sent) as peer,
    ):
        assert code == await peer.ended()
        assert [kind] == refused
        await honest.send(call(1))
        assert 0 == (await honest.answered(1)).status


async def to_be_true(found: list[str]) -> bool:
    """Whether there is something in a list."""
    return bool(found)


async def test_peer_whose_socket_takes_nothing_is_ended(tmp_path: Path) -> None:
    refused: list[str] = []
    async with (
        served(tmp_path, METHODS, HASTY, refused) as address,
        raw(address, WIDE, reads=False, buffer_bytes=4_096) as peer,
    ):
        await peer.send(call(1, path=LARGE))
        await until(lambda: to_be_true(refused), "the peer is not refused")
        await peer.ended()

    assert ["stalled_output"] == refused
    assert sum(len(item.payload) for item in peer.frames) < LARGE_BYTES


@pytest.mark.parametrize(
    ("hello", "sent", "kind", "status", "reset"),
    [
        (HELLO, headers(1), "slow_request", Code.DEADLINE_EXCEEDED, ErrorCode.NO_ERROR),
        (
            HELLO,
            headers(1) + data(1, packed(b"x" * 9)[:9], end=False),
            "slow_request",
            Code.DEADLINE_EXCEEDED,
            ErrorCode.NO_ERROR,
        ),
        (NO_WINDOW, call(1), "stalled_output", None, ErrorCode.CANCEL),
    ],
    ids=["no message", "half a message", "no window"],
)
async def test_slow_stream_is_ended_and_its_connection_kept(
    tmp_path: Path, hello: bytes, sent: bytes, kind: str, status: int | None, reset: int
) -> None:
    refused: list[str] = []
    async with (
        served(tmp_path, METHODS, HASTY, refused) as address,
        raw(address, hello) as peer,
    ):
        await peer.send(sent)
        await peer.until(lambda peer: peer.heard[RST_STREAM] > 0, "the stream is not ended")
        answer = peer.answers()[1]
        assert (status, reset) == (answer.status, answer.reset)
        assert [kind] == refused
        await peer.send(settings({SETTINGS_INITIAL_WINDOW_SIZE: 1_000}) + call(3))
        assert 0 == (await peer.answered(3)).status
