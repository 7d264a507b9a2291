"""A connection of the load driver: its HTTP/2 and its socket."""

from __future__ import annotations

import ipaddress
import socket
import time
from typing import Final

from tests.bench.headers import RequestHeaders
from tests.bench.load_result import LoadError
from tests.bench.wire import Call, Connection

CONNECT_SECONDS_MAX: Final = 5.0
_RECEIVE_BYTES: Final = 64 * 1024


class Link:
    """A connection with its socket and the bytes that the socket has not taken yet.

    `received_ns`: when the last bytes were received, by `time.perf_counter_ns`.
    """

    def __init__(self, target: str, headers: RequestHeaders) -> None:
        self.wire = Connection(headers)
        self.socket = _connect(target)
        self.unsent = b""
        self.received_ns = 0

    def settle(self) -> None:
        """Exchange settings, then turn non-blocking."""
        deadline = time.monotonic() + CONNECT_SECONDS_MAX
        while not self.wire.ready:
            if time.monotonic() > deadline:
                raise LoadError("the server does not acknowledge HTTP/2 settings")
            self.socket.sendall(self.wire.take_output())
            self.receive()
        self.socket.setblocking(False)

    def receive(self) -> list[Call]:
        """Read what has arrived; the calls that ended."""
        data = self.socket.recv(_RECEIVE_BYTES)
        # Before the bytes are looked at: that costs the driver time, and not the server.
        self.received_ns = time.perf_counter_ns()
        if not data:
            raise LoadError("the server closed a connection")
        return self.wire.feed(data)

    def send(self) -> None:
        """Hand over what is queued, as far as the socket takes it."""
        data = self.unsent + self.wire.take_output()
        if data:
            try:
                self.unsent = data[self.socket.send(data) :]
            except BlockingIOError:
                self.unsent = data


def _connect(target: str) -> socket.socket:
    """A connected socket for "unix:PATH" or "ADDRESS:PORT" on the loopback interface."""
    if target.startswith("unix:"):
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(CONNECT_SECONDS_MAX)
        try:
            link.connect(target.removeprefix("unix:"))
        except OSError:
            link.close()
            raise
        return link
    host, _, port = target.rpartition(":")
    address = ipaddress.ip_address(host.strip("[]"))
    if not address.is_loopback:
        raise ValueError("load goes to loopback addresses only")
    link = socket.create_connection((str(address), int(port)), timeout=CONNECT_SECONDS_MAX)
    link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return link
