"""The front on an event loop that others need, too: nobody keeps it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from sidecar.front import Bounds, Method, Server, bidi_stream
from sidecar.front.frames import window_update
from sidecar.front.machine.messages import packed
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.front.peer import HELLO, data, headers

STREAM = "/test.Service/Stream"


@asynccontextmanager
async def served(
    folder: Path, methods: Mapping[str, Method], bounds: Bounds
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to a server on this loop."""
    path = str(folder / "front.sock")
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen()
    server = Server(methods, bounds)
    await server.start(listening)
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        async with asyncio.timeout(HANG_SECONDS_MAX):
            yield reader, writer
    finally:
        writer.close()
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
        yield HELLO
        for number in (1, 3, 5, 7):
            yield headers(number, STREAM) + window_update(number, 1_000_000)
        for number in (1, 3, 5, 7):
            yield data(number, packed(b"") * 1_000, end=False)

    methods = {STREAM: bidi_stream(behaviour)}
    async with served(tmp_path, methods, Bounds(calls_per_turn=10)) as (_, writer):
        writer.write(b"".join(sent()))
        await every.wait()

    assert rounds.most <= 2 * 10, "the rounds of turns and of the loop begin at different places"
    assert {0: 1_000, 1: 1_000, 2: 1_000, 3: 1_000} == by_stream
    assert spread[0] > 400, "streams take turns"
