"""The server: listens, keeps the connections, lets time pass, and stops in good order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final

from sidecar.front.behaviours import Turns
from sidecar.front.bounds import Bounds
from sidecar.front.driver import Driver
from sidecar.front.errors import Code, Status
from sidecar.front.machine import timeouts
from sidecar.front.machine.calls import UnaryCall
from sidecar.front.machine.shared import Shared, uncounted, unknown_error
from sidecar.front.methods import Method

_DEFAULT_BOUNDS: Final = Bounds()
_BACKLOG: Final = 1024
_READ_BYTES_MAX: Final = 64 * 1024
_EXPIRED_PER_TURN: Final = 64
_STREAMS_PER_TURN: Final = 1024
_FAREWELL_SECONDS: Final = 2.0
"""How long peers may take to hear that the server stops, before the last streams are named."""
_CUT_SECONDS: Final = 1.0


class Server:
    """Serves methods by path ("/package.Service/Method") on sockets that its user has bound.

    answer_read: given all complete calls of `unary` methods that one read brought, in order; it
    calls `handle` of each, or answers them otherwise.
    status_of: the outcome of a call whose handler or behaviour raised anything but a Status.
    refused: told the kind of each refusal ("rapid_reset", "header_list", ...).

    One event loop; nothing here is thread-safe.
    """

    def __init__(
        self,
        methods: Mapping[str, Method],
        bounds: Bounds = _DEFAULT_BOUNDS,
        *,
        answer_read: Callable[[Sequence[UnaryCall]], None] | None = None,
        status_of: Callable[[Exception], Status] = unknown_error,
        refused: Callable[[str], None] = uncounted,
    ) -> None:
        self._shared = Shared(methods, bounds, status_of=status_of, refused=refused)
        self._answer_read = answer_read or _handle_each
        self._drivers: set[Driver] = set()
        self._empty = asyncio.Event()
        self._buffer = memoryview(bytearray(_READ_BYTES_MAX))
        self._turns = Turns(bounds.calls_per_turn)
        self._listeners: list[asyncio.AbstractServer] = []
        self._deadline_timer: asyncio.TimerHandle | None = None
        self._interval_seconds = timeouts.interval_seconds(bounds)
        self._unseen: list[Driver] = []  # by this round
        self._timeouts_timer: asyncio.TimerHandle | None = None

    @property
    def calls_under_way(self) -> int:
        """Calls that were not answered within the read that brought them, and have not ended."""
        return self._shared.calls

    @property
    def connections(self) -> int:
        """Connections at present."""
        return len(self._drivers)

    async def start(self, *listening: socket.socket) -> None:
        """Serve on sockets that are bound (Unix or TCP). The server closes them when it stops."""
        loop = asyncio.get_running_loop()
        self._shared.stopping = False
        self._shared.timers.on_earlier = self._arm
        for sock in listening:
            create = (
                loop.create_unix_server if sock.family == socket.AF_UNIX else loop.create_server
            )
            self._listeners.append(await create(self._driver, sock=sock, backlog=_BACKLOG))

    def _driver(self) -> Driver:
        if self._timeouts_timer is None:
            loop = asyncio.get_running_loop()
            self._timeouts_timer = loop.call_later(self._interval_seconds, self._look_after)
        return Driver(
            self._shared,
            self._answer_read,
            self._drivers,
            self._empty.set,
            self._buffer,
            self._turns,
        )

    async def stop(self, grace_seconds: float) -> None:
        """Take no more connections, finish what is under way, and close.

        Peers are warned first and told the last stream that is served then. What is not finished
        after `grace_seconds` ends UNAVAILABLE.
        """
        self._shared.stopping = True
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        give_up_at = monotonic() + grace_seconds
        for driver in self._drivers:
            driver.connection.warn()
        await self._emptied(min(grace_seconds, _FAREWELL_SECONDS))
        for driver in self._drivers:
            driver.connection.leave()
        await self._emptied(give_up_at - monotonic())
        for driver in self._drivers:
            driver.cut(Status(Code.UNAVAILABLE, "the server stops"))
        await self._emptied(_CUT_SECONDS)
        for driver in list(self._drivers):
            driver.abort()
        await self._emptied(_CUT_SECONDS)
        for timer in (self._deadline_timer, self._timeouts_timer):
            if timer is not None:
                timer.cancel()
        self._deadline_timer = self._timeouts_timer = None

    async def _emptied(self, seconds: float) -> None:
        """Wait until there are no connections, for so long at most."""
        self._empty.clear()
        if self._drivers and seconds > 0:
            try:
                await asyncio.wait_for(self._empty.wait(), seconds)
            except TimeoutError:
                return

    # Time

    def _arm(self) -> None:
        """Set the timer to the earliest deadline."""
        if self._deadline_timer is not None:
            self._deadline_timer.cancel()
            self._deadline_timer = None
        next_at = self._shared.timers.next_at()
        if next_at is not None:
            loop = asyncio.get_running_loop()
            delay = max(0.0, next_at - monotonic())
            self._deadline_timer = loop.call_later(delay, self._expire)

    def _expire(self) -> None:
        self._shared.timers.expire(monotonic(), _EXPIRED_PER_TURN)
        self._arm()

    def _look_after(self) -> None:
        """Let time do to the connections what it does, and come back while there are any."""
        loop = asyncio.get_running_loop()
        now = monotonic()
        room = _STREAMS_PER_TURN
        if not self._unseen:
            self._unseen = list(self._drivers)
        while self._unseen and room > 0:
            driver = self._unseen.pop()
            room -= 1 + len(driver.connection.streams)
            driver.check(now)
        if self._unseen:
            self._timeouts_timer = loop.call_later(0, self._look_after)
        elif self._drivers:
            self._timeouts_timer = loop.call_later(self._interval_seconds, self._look_after)
        else:
            self._timeouts_timer = None


def _handle_each(calls: Sequence[UnaryCall]) -> None:
    for call in calls:
        call.handle()
