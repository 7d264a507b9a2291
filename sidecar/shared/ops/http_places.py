"""Places for connections over HTTP: who gives way where all are taken, and where descriptors are.

Everybody may connect, so places must not be kept by whoever takes many, or sends nothing: the peer
that holds most gives up its oldest connection. One that asks at once is answered before that.
"""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import structlog

_RESERVE: Final = 2
"""Descriptors that are kept open for nothing, and given up for a probe where none are left."""
_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = structlog.get_logger(__name__)


class Connection:
    """One that has not been answered to the end. Times in seconds of the monotonic clock."""

    __slots__ = ("closing", "deadline", "discarded_bytes", "head", "peer", "sock", "unsent")

    def __init__(self, sock: socket.socket, peer: str, deadline: float) -> None:
        self.sock = sock
        self.peer = peer
        self.deadline = deadline
        self.head = bytearray()
        self.unsent = memoryview(b"")
        self.closing = False  # all is sent; what the peer still sends is thrown away
        self.discarded_bytes = 0


def who_gives_way(connections: Iterable[Connection], newcomer: str) -> Connection:
    """The oldest connection of the peer that has most, the newcomer counted in.

    `connections`: at least one, oldest first.
    """
    held = list(connections)
    places = Counter(connection.peer for connection in held)
    places[newcomer] += 1
    most = max(places[connection.peer] for connection in held)
    return next(connection for connection in held if places[connection.peer] == most)


class Acceptor:
    """Takes connections from a listening socket, also where descriptors have run out.

    `give_way` closes a connection that is open, and says whether there was one.
    """

    def __init__(self, listening: socket.socket, give_way: Callable[[], bool]) -> None:
        self._listening = listening
        self._give_way = give_way
        self._reserve: list[int] = []
        self._in_trouble = False
        self.refill()

    def accept(self) -> tuple[socket.socket, str] | None:
        """The next connection and its peer; `None` where none waits.

        Raises `OSError` where there is no descriptor for it, whatever gives way.
        """
        made_room = False
        while True:
            try:
                sock, address = self._listening.accept()
            except (BlockingIOError, ConnectionAbortedError, InterruptedError):
                return None
            except OSError as error:
                if error.errno not in _EXHAUSTED or not self._make_room(error):
                    raise
                made_room = True
                continue
            sock.setblocking(False)
            if self._in_trouble and not made_room:
                self._in_trouble = False
                _log.info("http.descriptors_back")
            return sock, str(address[0])

    def refill(self) -> None:
        """Take back what was given up, where that is possible again."""
        with suppress(OSError):
            while len(self._reserve) < _RESERVE:
                self._reserve.append(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))

    def close(self) -> None:
        """Let go of the reserve."""
        while self._reserve:
            os.close(self._reserve.pop())

    def _make_room(self, error: OSError) -> bool:
        if not self._in_trouble:
            self._in_trouble = True
            _log.error("http.no_descriptors", error=str(error))
        if self._reserve:
            os.close(self._reserve.pop())
            return True
        return self._give_way()
