"""A relay from TCP to a Unix socket, for tools that know TCP only."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

_CHUNK_BYTES = 64 * 1024


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK_BYTES):
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def relay_to(path: str) -> AsyncIterator[int]:
    """Relay connections to a Unix socket; the port on 127.0.0.1 to connect to."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        local_reader, local_writer = await asyncio.open_unix_connection(path)
        async with asyncio.TaskGroup() as both:
            both.create_task(_pass_on(reader, local_writer))
            both.create_task(_pass_on(local_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
