"""Sockets to listen on, each with a clear error when it can't be had."""

from __future__ import annotations

import os
import socket
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from sidecar.shared.held_files import HeldFiles
from sidecar.shared.host.addresses import split_host_port
from sidecar.shared.ops.http import HttpServer, Route

SOCKET_MODE: Final = 0o660
"""Whoever shares the socket's group may call: in a pod, the application under another user id.

A daemon's umask gives it less until then, never more."""
_SOCKET_FOLDER_MODE: Final = 0o750
"""Of a folder that is made for the socket: whoever may call has to get through it."""
BACKLOG: Final = 1024
"""Connections that wait to be accepted; the kernel lowers it to its own bound."""


class CannotListen(Exception):
    """An address cannot be listened on."""


class BoundSocket:
    """A Unix socket that was bound, by its path."""

    def __init__(self, path: str) -> None:
        """Just after it was bound."""
        self.path = path
        self._held = HeldFiles()
        self._held.hold(Path(path))

    def is_there(self) -> bool:
        """Whether the path still leads to it: it was neither deleted nor replaced."""
        return not self._held.lost()

    def unlink(self) -> None:
        """Remove it from its path, unless something else is there by now."""
        if self.is_there():
            Path(self.path).unlink(missing_ok=True)


def unix_socket(path: str) -> socket.socket:
    """A socket that listens on a path. A stale one, of a killed process, is removed."""
    make_way(path)
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.bind(path)
        Path(path).chmod(SOCKET_MODE)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        raise CannotListen(f"cannot listen on the socket {path}: {error.strerror}") from error
    return listening


def tcp_socket(address: str) -> socket.socket:
    """A socket that listens on HOST:PORT; port 0 takes a free one.

    Without SO_REUSEPORT: two processes on one port would share calls, unnoticed.
    """
    host, port = split_host_port(address)
    try:
        family, kind, proto, _, where = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, proto)
    except OSError as error:
        raise CannotListen(f"cannot listen on {address}: {error.strerror}") from error
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(where)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        reason = os.strerror(error.errno or 0)
        raise CannotListen(f"cannot listen on {address}: {reason}") from error
    return listening


def make_way(path: str) -> None:
    """Make the folder of a Unix socket, and remove a socket that nobody listens on."""
    file = Path(path)
    try:
        mode = file.stat().st_mode
    except FileNotFoundError:
        try:
            _make_folder(file.parent)
        except OSError as error:
            raise CannotListen(f"cannot listen on the socket {path}: {error.strerror}") from error
        return
    except OSError as error:
        raise CannotListen(f"cannot look at {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except (ConnectionRefusedError, FileNotFoundError):
            file.unlink(missing_ok=True)
            return
        except BlockingIOError:
            pass
        except OSError as error:
            raise CannotListen(f"cannot look at {path}: {error.strerror}") from error
    raise CannotListen(f"the socket {path} is in use by another process")


def _make_folder(folder: Path) -> None:
    for missing in reversed([each for each in (folder, *folder.parents) if not each.exists()]):
        missing.mkdir(exist_ok=True)
        missing.chmod(_SOCKET_FOLDER_MODE)


def http_server(address: str, routes: Mapping[str, Route]) -> HttpServer:
    """A server of plain HTTP on HOST:PORT."""
    host, port = split_host_port(address)
    try:
        return HttpServer(host, port, routes)
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise CannotListen(f"cannot listen on {address}: {reason}") from error
