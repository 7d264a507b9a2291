"""Carries out what a connection's machine says, on an asyncio transport."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Final, TypeAlias, cast
from urllib.parse import quote

from sidecar.front.behaviours import BehaviourRunner, Turns
from sidecar.front.errors import Status
from sidecar.front.machine import answering, timeouts
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.connection import Connection
from sidecar.front.machine.events import What
from sidecar.front.machine.phases import Phase
from sidecar.front.machine.shared import Shared

AnswerRead: TypeAlias = Callable[[Sequence[UnaryCall]], None]

_LINGER_SECONDS: Final = 1.0
"""How long a connection that has ended is still read from, so that the peer's system does not
throw away our last words for what it has sent meanwhile."""
_LINGER_BYTES_MAX: Final = 4 * 1024 * 1024


class Driver(asyncio.BufferedProtocol):
    """One connection's protocol.

    It reads into a small buffer that all connections share, so that one read is a bounded amount
    of work to keep, whatever a peer sends at once.

    drivers: the server's, of those that are connected. on_empty: told when it was the last.
    buffer, turns: the server's.
    """

    _transport: asyncio.Transport
    connection: Connection

    def __init__(
        self,
        shared: Shared,
        answer_read: AnswerRead,
        drivers: set[Driver],
        on_empty: Callable[[], None],
        buffer: memoryview,
        turns: Turns,
    ) -> None:
        self._shared = shared
        self._answer_read = answer_read
        self._drivers = drivers
        self._on_empty = on_empty
        self._buffer = buffer
        self._turns = turns
        self._loop = asyncio.get_running_loop()
        self._runners: dict[int, BehaviourRunner] = {}  # by stream
        self._reading = True
        self._scheduled = False
        self._linger_timer: asyncio.TimerHandle | None = None
        self._lingered_bytes = 0

    # What the transport calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's derive from nothing
        self.connection = Connection(self._shared, peer_of(transport), monotonic())
        bounds = self._shared.bounds
        if self._shared.stopping or len(self._drivers) >= bounds.connections_max:
            if not self._shared.stopping:
                self._shared.refused("connections")
            self._transport.abort()
            return
        self._drivers.add(self)
        self._transport.set_write_buffer_limits(high=bounds.write_buffer_bytes_max)
        self.connection.on_wake = self._schedule
        self._end_turn()

    def get_buffer(self, _size_hint: int) -> memoryview:
        return self._buffer

    def buffer_updated(self, size: int) -> None:
        connection = self.connection
        if self._linger_timer is not None:
            self._lingered_bytes += size
            if self._lingered_bytes > _LINGER_BYTES_MAX:
                self._transport.abort()
            return
        try:
            calls = connection.receive(bytes(self._buffer[:size]), monotonic())
            if calls:
                try:
                    self._answer_read(calls)
                except Exception as error:
                    _fail_each(calls, error)
            connection.settle()
            self._end_turn()
        except Exception as error:
            self._crashed(error)

    def eof_received(self) -> bool:
        return False  # no client of gRPC closes one direction only

    def pause_writing(self) -> None:
        self.connection.pause(monotonic())
        self._set_reading(False)

    def resume_writing(self) -> None:
        self.connection.resume()

    def connection_lost(self, _error: Exception | None) -> None:
        if self._linger_timer is not None:
            self._linger_timer.cancel()
        self.connection.on_wake = _ignore
        self.connection.close(None)
        self._run_behaviours()
        if self in self._drivers:
            self._drivers.remove(self)
            if not self._drivers:
                self._on_empty()

    # Turns

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._proceed)

    def _proceed(self) -> None:
        self._scheduled = False
        if self not in self._drivers:
            return
        connection = self.connection
        try:
            calls = connection.proceed(monotonic())
            if calls:
                try:
                    self._answer_read(calls)
                except Exception as error:
                    _fail_each(calls, error)
            connection.settle()
            self._end_turn()
        except Exception as error:
            self._crashed(error)

    def _end_turn(self) -> None:
        """Send what there is, and see to what is left."""
        connection = self.connection
        if connection.events:
            self._run_behaviours()
        output = connection.output
        if output.parts:
            if self._linger_timer is None:
                self._transport.write(b"".join(output.parts))
            output.parts.clear()
        connection.sent()
        if (
            connection.more
            or not self._reading
            or (output.ready and output.window > 0)
            or connection.phase is Phase.CLOSED
        ):
            self._go_on()

    def _go_on(self) -> None:
        """Another turn, another state of reading, or the end."""
        connection = self.connection
        if connection.phase is Phase.CLOSED:
            self._linger()
        elif connection.output.paused:
            self._set_reading(False)
        else:
            self._set_reading(not connection.more)
            if connection.more or (connection.output.ready and connection.output.window > 0):
                self._schedule()

    def _set_reading(self, wanted: bool) -> None:
        if wanted != self._reading:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _run_behaviours(self) -> None:
        events = self.connection.events
        for what, call in events:
            if what is What.STARTED:
                assert call.stream is not None
                runner = self._runners[call.stream_id] = BehaviourRunner(
                    call, call.stream, self._turns
                )
                runner.task.add_done_callback(partial(self._done, call.stream_id))
            elif call.stream_id in self._runners:
                self._runners[call.stream_id].on_event(what)
        events.clear()

    def _done(self, stream_id: int, _task: asyncio.Task[None]) -> None:
        del self._runners[stream_id]

    # The end

    def _linger(self) -> None:
        if self._linger_timer is None:
            self._linger_timer = self._loop.call_later(_LINGER_SECONDS, self._transport.abort)
            self._set_reading(True)
            with suppress(OSError):  # the peer may be gone
                self._transport.write_eof()

    def _crashed(self, error: Exception) -> None:
        """A mistake of ours ends one connection, and is told to the loop's exception handler."""
        context = {"message": "the front failed", "exception": error, "protocol": self}
        self._loop.call_exception_handler(context)
        self._transport.abort()

    def abort(self) -> None:
        """Close without a word."""
        self._transport.abort()

    def check(self, now: float) -> None:
        """Let time do to the connection what it does."""
        if self in self._drivers:
            timeouts.check(self.connection, now)

    def cut(self, status: Status) -> None:
        """End what is under way with a status, and then the connection."""
        connection = self.connection
        for stream in list(connection.streams.values()):
            answering.stop(connection, stream, status)
        connection.close(None)


def _ignore() -> None:
    pass


def _fail_each(calls: Sequence[UnaryCall], error: Exception) -> None:
    for call in calls:
        call.fail(error)


def peer_of(transport: asyncio.BaseTransport) -> str:
    """Who is at the other end, in the spelling of gRPC."""
    address = transport.get_extra_info("peername")
    if not isinstance(address, tuple):
        return "unix:"
    host, port = address[:2]
    return f"ipv6:{quote(f'[{host}]', safe=':')}:{port}" if ":" in host else f"ipv4:{host}:{port}"
