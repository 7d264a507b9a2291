"""Runs the behaviours of calls that wait for something, each as a task."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Final

from sidecar.front.errors import Code, Status
from sidecar.front.machine import answering, requests
from sidecar.front.machine.calls import TaskCall
from sidecar.front.machine.events import What
from sidecar.front.machine.streams import Stream
from sidecar.front.methods import Kind

_CANCELLED: Final = Status(Code.CANCELLED, "the behaviour was cancelled")


class _Gate:
    """Lets one task wait until something has happened."""

    __slots__ = ("_waiter",)

    def __init__(self) -> None:
        self._waiter: asyncio.Future[None] | None = None

    async def wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def open(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


class Turns:
    """How many streamed messages behaviours take in a round of the event loop, all together.

    A behaviour that finds message upon message would not let go of the loop by itself. Those that
    must wait share the next rounds, whatever connection they are of. round: its number.
    """

    __slots__ = ("_left", "_most", "_waiting", "round")

    def __init__(self, most: int) -> None:
        self.round = 0
        self._most = most
        self._left = most
        self._waiting: deque[asyncio.Future[int]] = deque()

    def taken(self) -> bool:
        """Count a message; False: it is one too many, and `wait` comes first."""
        if self._left == self._most:
            asyncio.get_running_loop().call_soon(self._begin_round)
        self._left -= 1
        return self._left >= 0

    async def wait(self) -> int:
        """Wait for another round; how many messages whoever waited may take in it."""
        turn: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        return await turn

    def _begin_round(self) -> None:
        self.round += 1
        self._left = self._most
        if not self._waiting:
            return
        share = max(1, self._most // len(self._waiting))
        while self._waiting and self._left > 0:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(share)
                self._left -= share
        # What is left would go to whoever comes first, in each round again.
        self._left = 0
        asyncio.get_running_loop().call_soon(self._begin_round)


class _Requests:
    """The messages of a streamed request, in order."""

    __slots__ = ("_call", "_granted", "_round", "_stream", "_turns", "arrived")

    def __init__(self, call: TaskCall, stream: Stream, turns: Turns) -> None:
        self._call = call
        self._stream = stream
        self._turns = turns
        self._round = 0
        self._granted = 0  # messages, in that round
        self.arrived = _Gate()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        call, stream = self._call, self._stream
        while True:
            call.told = False
            if stream.inbox:
                await self._turn()
            message = requests.take(call.connection, stream)
            if message is not None:
                return message
            if call.ended:
                raise asyncio.CancelledError
            if stream.remote_ended:
                raise StopAsyncIteration
            await self.arrived.wait()

    async def _turn(self) -> None:
        """Wait until it is this stream's turn to take a message."""
        turns = self._turns
        if self._granted > 0 and self._round == turns.round:
            self._granted -= 1
        elif not turns.taken():
            self._granted = await turns.wait() - 1
            self._round = turns.round


class BehaviourRunner:
    """Runs one call's behaviour, gives it the request, and sends what it answers."""

    __slots__ = ("_call", "_requests", "_room", "_stream", "task")

    def __init__(self, call: TaskCall, stream: Stream, turns: Turns) -> None:
        self._call = call
        self._stream = stream
        self._requests = _Requests(call, stream, turns)
        self._room = _Gate()
        self.task = asyncio.get_running_loop().create_task(self._run())

    def on_event(self, what: What) -> None:
        """Something has happened to the call."""
        if what is What.ARRIVED:
            self._requests.arrived.open()
        elif what is What.ROOM:
            self._room.open()
        elif what is What.ENDED:
            self.task.cancel()

    async def _run(self) -> None:
        call, connection = self._call, self._call.connection
        outcome: Status | None = None
        try:
            await self._behave()
            if not call.ended:
                answering.finish(connection, self._stream)
                call.head.count_ending(Code.OK)
        except Status as status:
            outcome = status
        except asyncio.CancelledError:
            outcome = _CANCELLED
        except Exception as error:
            outcome = connection.shared.status_of(error)
        if not call.ended:
            call.ended = True
            if outcome is not None:
                answering.fail(connection, call, outcome)

    async def _behave(self) -> None:
        """Run the behaviour, and send all that it answers."""
        call, method = self._call, self._stream.head.method
        assert method is not None
        request = self._requests if method.streams_request else call.message
        answer = method.handle(request, call)
        if method.kind in (Kind.UNARY_ASYNC, Kind.CLIENT_STREAM):
            await self._send(await answer)
            return
        try:
            async for message in answer:
                await self._send(message)
        finally:
            close = getattr(answer, "aclose", None)
            if close is not None:
                await close()

    async def _send(self, message: bytes) -> None:
        """Send a message, and wait while too much of the stream waits for the peer."""
        call, stream = self._call, self._stream
        if call.ended:
            raise asyncio.CancelledError
        answering.send(call.connection, stream, message)
        bound = call.connection.shared.bounds.queued_bytes_stream_max
        while stream.queued_bytes > bound and not call.ended:
            stream.wants_room = True
            await self._room.wait()
