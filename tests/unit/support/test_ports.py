"""A port that a server had is its own until it is back."""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.ports import KeptPort

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets a socket keep a port for another one"
)


def server_at(port: int) -> socket.socket:
    """A server as ours are: SO_REUSEADDR, and no SO_REUSEPORT."""
    return socket.create_server(("127.0.0.1", port), reuse_port=False)


@contextmanager
def kept() -> Iterator[int]:
    """A port whose server has ended."""
    with server_at(0) as server:
        port: int = server.getsockname()[1]
    keeper = KeptPort()
    keeper.keep(f"127.0.0.1:{port}")
    yield port
    keeper.let_go()


def test_nobody_else_gets_it() -> None:
    with kept() as port, socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", port))


def test_nobody_answers_there_and_the_server_gets_it_back_again_and_again() -> None:
    with kept() as port:
        for _ in range(3):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.1", port))
            with server_at(port), socket.create_connection(("127.0.0.1", port)):
                pass
