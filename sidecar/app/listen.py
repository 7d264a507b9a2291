"""Where the servers listen: a Unix socket and TCP, each with a clear error when it can't be had."""

from __future__ import annotations

import os
import socket
import stat
from pathlib import Path
from typing import Final

import grpc

from sidecar.config import split_host_port

_SOCKET_MODE: Final = 0o660
"""Whoever shares the socket's group may call: in a pod, the application under another user id."""


class CannotListen(Exception):
    """An address cannot be listened on."""


def listen_unix(server: grpc.aio.Server, path: str) -> None:
    """Listen on a Unix socket. A stale one, that a killed process left behind, is removed."""
    socket_file = Path(path)
    _remove_stale(socket_file)
    try:
        socket_file.parent.mkdir(parents=True, exist_ok=True)
        server.add_insecure_port(f"unix:{path}")
        socket_file.chmod(_SOCKET_MODE)
    except (OSError, RuntimeError) as error:
        raise CannotListen(f"cannot listen on the socket {path}: {error}") from error


def listen_tcp(server: grpc.aio.Server, address: str) -> int:
    """Listen on HOST:PORT; the port, which was chosen if 0 was asked for."""
    host, port = split_host_port(address)
    _require_free(host, port)
    try:
        return server.add_insecure_port(address)
    except RuntimeError as error:
        raise CannotListen(f"cannot listen on {address}: {error}") from error


def _remove_stale(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    except OSError as error:
        raise CannotListen(f"cannot look at {path}: {error.strerror}") from error
    if not stat.S_ISSOCK(mode):
        raise CannotListen(f"{path} exists and is not a socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
        except OSError as error:
            raise CannotListen(f"cannot look at {path}: {error.strerror}") from error
    raise CannotListen(f"the socket {path} is in use by another process")


def _require_free(host: str, port: int) -> None:
    """Grpcio says only that binding failed; the operating system says why."""
    if port == 0:
        return
    family, kind, proto, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, proto) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise CannotListen(f"cannot listen on {host}:{port}: {reason}") from error
