"""A server of the front in this process, and raw connections to it."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import grpc.aio

from sidecar.front import Bounds, Method, Server
from sidecar.front.frames import FRAME, FRAME_HEAD_BYTES
from tests.support.front.peer import HELLO, Frame

WAIT_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.002


class Serving(NamedTuple):
    """A server that listens on TCP and, with a folder to put it in, on a Unix socket."""

    server: Server
    address: str
    path: str
    refused: list[str]


@asynccontextmanager
async def serving(
    methods: Mapping[str, Method],
    bounds: Bounds | None = None,
    *,
    folder: Path | None = None,
    **options: Any,
) -> AsyncIterator[Serving]:
    refused: list[str] = []
    server = Server(methods, bounds or Bounds(), refused=refused.append, **options)
    remote = socket.socket()
    remote.bind(("127.0.0.1", 0))
    listening = [remote]
    path = str(folder / "front.sock") if folder else ""
    if path:
        local = socket.socket(socket.AF_UNIX)
        local.bind(path)
        listening.append(local)
    for each in listening:
        each.listen()
    host, port = remote.getsockname()
    await server.start(*listening)
    try:
        yield Serving(server, f"{host}:{port}", path, refused)
    finally:
        await server.stop(grace_seconds=0)


class Link:
    """A raw connection: sends bytes, reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))
        await self.writer.drain()

    async def frame(self) -> Frame | None:
        """The next frame; None at the end of the connection."""
        try:
            head = await self.reader.readexactly(FRAME_HEAD_BYTES)
            size, flags, stream_id = FRAME.unpack(head)
            payload = await self.reader.readexactly(size >> 8)
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        return Frame(size & 0xFF, flags, stream_id, payload)

    async def until(self, wanted: Callable[[Frame], bool]) -> Frame:
        """The first frame that is wanted; those before it are dropped."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while True:
                found = await self.frame()
                assert found is not None, "the connection ended"
                if wanted(found):
                    return found

    async def ended(self) -> None:
        """Wait for the end of the connection."""
        async with asyncio.timeout(WAIT_SECONDS_MAX):
            while await self.frame() is not None:
                pass


@asynccontextmanager
async def link(serving: Serving, hello: bytes = HELLO) -> AsyncIterator[Link]:
    """A raw connection over TCP."""
    host, port = serving.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    connection = Link(reader, writer)
    try:
        if hello:
            await connection.send(hello)
        yield connection
    finally:
        writer.close()


def channel_to(target: str) -> Any:
    """A channel of grpcio; untyped, since its stubs know no calls of bytes."""
    return grpc.aio.insecure_channel(target)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for something in this process to become true."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not condition():  # noqa: ASYNC110  # what is waited for is not this test's to tell
            await asyncio.sleep(_POLL_SECONDS)
