"""Raw connections to a server of HTTP/2: whatever bytes go out, and what comes back is kept."""

from __future__ import annotations

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from typing import Final

from sidecar.front.frames import (
    DATA,
    END_STREAM,
    FRAME,
    FRAME_HEAD_BYTES,
    GOAWAY,
    HEADERS,
    RST_STREAM,
)
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.front.peer import HELLO, Answer, Frame, answers_in

_READ_BYTES: Final = 256 * 1024
_FRAMES_KEPT_MAX: Final = 200_000
_PIECE_BYTES: Final = 64 * 1024


class Raw:
    """A raw connection. `heard`: how many frames of each kind came; `frames`: the first of them.

    ends: the streams that came to an end. goaway: the code of the last GOAWAY. over: the server has
    ended the connection.
    """

    def __init__(self, sock: socket.socket) -> None:
        self.heard: Counter[int] = Counter()
        self.frames: list[Frame] = []
        self.ends: set[int] = set()
        self.goaway: int | None = None
        self.over = asyncio.Event()
        self._sock = sock
        self._pending = b""
        self._news = asyncio.Condition()
        self._reader: asyncio.Task[None] | None = None

    def read(self) -> None:
        """Begin to read what comes."""
        if self._reader is None:
            self._reader = asyncio.create_task(self._read())

    async def send(self, *parts: bytes) -> bool:
        """Send, as fast as the server takes it; False: it has ended the connection."""
        loop, data = asyncio.get_running_loop(), b"".join(parts)
        sending = asyncio.ensure_future(loop.sock_sendall(self._sock, data))
        ended = asyncio.ensure_future(self.over.wait())
        try:
            async with asyncio.timeout(HANG_SECONDS_MAX):
                await asyncio.wait((sending, ended), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                return False
            with suppress(OSError):
                sending.result()
                return not self.over.is_set()
            return False
        finally:
            sending.cancel()
            ended.cancel()

    def push(self, data: bytes) -> int:
        """Send what the system's buffers take at once; how many bytes that was."""
        try:
            return self._sock.send(data)
        except OSError:
            return 0

    async def flood(self, frames: Iterable[bytes]) -> None:
        """Send frames until there are no more, or the server has ended the connection."""
        piece = bytearray()
        for frame in frames:
            piece += frame
            if len(piece) >= _PIECE_BYTES:
                if not await self.send(bytes(piece)):
                    return
                piece.clear()
        await self.send(bytes(piece))

    def finish(self) -> None:
        """Send no more: the server hears the end."""
        self._sock.shutdown(socket.SHUT_WR)

    async def until(self, holds: Callable[[Raw], bool], otherwise: str) -> None:
        """Read until it holds; fails with `otherwise` where the connection ends before."""
        self.read()
        try:
            async with asyncio.timeout(HANG_SECONDS_MAX), self._news:
                await self._news.wait_for(lambda: holds(self) or self.over.is_set())
        except TimeoutError:
            raise AssertionError(f"{otherwise} (waited {HANG_SECONDS_MAX:.0f} s)") from None
        assert holds(self), otherwise

    async def ended(self) -> int | None:
        """Read until the server has ended the connection; the code of its GOAWAY."""
        await self.until(lambda raw: raw.over.is_set(), "the connection is not ended")
        return self.goaway

    async def answered(self, stream_id: int) -> Answer:
        """Read until a stream has ended; what came on it."""
        await self.until(lambda raw: stream_id in raw.ends, f"stream {stream_id} is not answered")
        return self.answers()[stream_id]

    def answers(self) -> dict[int, Answer]:
        """What came on each stream so far, among the frames that are kept."""
        return answers_in(self.frames)

    def close(self) -> None:
        """Close without a word."""
        if self._reader is not None:
            self._reader.cancel()
        self._sock.close()

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            while data := await loop.sock_recv(self._sock, _READ_BYTES):
                self._take(data)
                await self._tell()
        self.over.set()
        await self._tell()

    def _take(self, data: bytes) -> None:
        data, at = self._pending + data, 0
        while len(data) - at >= FRAME_HEAD_BYTES:
            head, flags, stream_id = FRAME.unpack_from(data, at)
            stop = at + FRAME_HEAD_BYTES + (head >> 8)
            if stop > len(data):
                break
            kind = head & 0xFF
            found = Frame(kind, flags, stream_id, data[at + FRAME_HEAD_BYTES : stop])
            at = stop
            self.heard[kind] += 1
            if kind == RST_STREAM or (kind in (HEADERS, DATA) and flags & END_STREAM):
                self.ends.add(stream_id)
            if kind == GOAWAY:
                self.goaway = found.code
            if len(self.frames) < _FRAMES_KEPT_MAX:
                self.frames.append(found)
        self._pending = data[at:]

    async def _tell(self) -> None:
        async with self._news:
            self._news.notify_all()


@asynccontextmanager
async def raw(
    address: str, hello: bytes = HELLO, *, reads: bool = True, buffer_bytes: int | None = None
) -> AsyncIterator[Raw]:
    """A connection to `unix:PATH` or `HOST:PORT` that has said hello.

    reads: whether it reads what comes from the start. buffer_bytes: what the system may keep for it
    before it is read; None: what it likes.
    """
    found = await connected(address, hello, buffer_bytes=buffer_bytes)
    if reads:
        found.read()
    try:
        yield found
    finally:
        found.close()


async def connected(address: str, hello: bytes = HELLO, *, buffer_bytes: int | None = None) -> Raw:
    """A connection that whoever asks for it has to close."""
    loop = asyncio.get_running_loop()
    local = address.startswith("unix:")
    sock = socket.socket(socket.AF_UNIX if local else socket.AF_INET)
    try:
        sock.setblocking(False)
        if buffer_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
        host, _, port = address.rpartition(":")
        await _connect(loop, sock, address.removeprefix("unix:") if local else (host, int(port)))
        found = Raw(sock)
        if hello:
            await found.send(hello)
    except BaseException:
        sock.close()
        raise
    return found


async def _connect(
    loop: asyncio.AbstractEventLoop, sock: socket.socket, where: str | tuple[str, int]
) -> None:
    """Connect; a Unix socket whose queue is full says so at once, and is asked again."""
    async with asyncio.timeout(HANG_SECONDS_MAX):
        while True:
            try:
                await loop.sock_connect(sock, where)
            except BlockingIOError:
                await asyncio.sleep(0.001)
            else:
                return
