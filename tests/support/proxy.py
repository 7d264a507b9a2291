"""A TCP proxy that loses, delays and cuts what passes it, as networks do."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final

from tests.support.ports import ANY_PORT, KeptPort

_CHUNK_BYTES: Final = 16 * 1024


class Proxy:
    """Passes connections on to a server, until told otherwise. `address`: where it is called.

    `delay_s`: how long each piece of data is held up. `cut_after_bytes`: after so many more bytes
    of the server's answers the connection that carries them is cut, wherever it is.
    """

    def __init__(self, server: str) -> None:
        self.address = ANY_PORT
        self.delay_s = 0.0
        self.cut_after_bytes: int | None = None
        self.cuts = 0
        self._server = server
        self._port = KeptPort()
        self._listener: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._passing = asyncio.Event()
        self._passing.set()

    async def __aenter__(self) -> Proxy:
        await self.connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.disconnect()
        self._port.let_go()

    async def connect(self) -> None:
        """Take connections (again)."""
        self._passing.set()
        if self._listener is None:
            host, port = self.address.split(":")
            self._listener = await asyncio.start_server(self._accept, host, int(port))
            self.address = f"{host}:{self._listener.sockets[0].getsockname()[1]}"

    async def disconnect(self) -> None:
        """Break every connection and refuse new ones."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
            self._port.keep(self.address)
        self.cut()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def cut(self) -> None:
        """Break every connection; new ones are taken."""
        for connection in self._connections:
            connection.cancel()

    async def swallow(self) -> None:
        """Keep connections open and take new ones, but let nothing through until `connect`."""
        self._passing.clear()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except (OSError, asyncio.CancelledError, _Cut):
            # `abort` resets the connection: what was in buffers is lost.
            writer.transport.abort()
        finally:
            self._connections.discard(task)
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await self._dial(self._server)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pass_on(reader, up_writer, answers=False))
                group.create_task(self._pass_on(up_reader, writer, answers=True))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            up_writer.transport.abort()

    async def _dial(self, server: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = server.split(":")
        return await asyncio.open_connection(host, int(port))

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool
    ) -> None:
        while data := await reader.read(_CHUNK_BYTES):
            if self.delay_s:
                await asyncio.sleep(self.delay_s)
            await self._passing.wait()
            if answers and self.cut_after_bytes is not None:
                self.cut_after_bytes -= len(data)
                if self.cut_after_bytes <= 0:
                    self.cut_after_bytes = None
                    self.cuts += 1
                    writer.write(data[: len(data) // 2])
                    await writer.drain()
                    raise _Cut
            writer.write(data)
            await writer.drain()
        raise _Cut


class _Cut(Exception):
    """The connection ends."""
