"""Ports of loopback: found by whoever listens, and kept until they listen again."""

from __future__ import annotations

import socket
import sys
from typing import Final

ANY_PORT: Final = "127.0.0.1:0"
"""What to listen on; the server says which port it was given."""


class KeptPort:
    """Keeps a server's port from everybody else while the server is away.

    A socket that is bound and never listens is in nobody's way who listens there with
    SO_REUSEADDR, as all our servers do, and no other process is given the port meanwhile. That is
    how Linux understands the option; elsewhere nothing is kept.
    """

    def __init__(self) -> None:
        self._keeper: socket.socket | None = None

    def keep(self, address: str) -> None:
        """Keep the port of `HOST:PORT`, which its server has just left, from now on."""
        if self._keeper is not None or sys.platform != "linux":
            return
        host, port = address.split(":")
        self._keeper = socket.socket()
        self._keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._keeper.bind((host, int(port)))

    def let_go(self) -> None:
        """Nobody listens there any more."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None
