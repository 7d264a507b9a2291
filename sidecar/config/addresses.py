"""Addresses: where a daemon listens, and whom it calls."""

from __future__ import annotations

import re
from typing import Final

PORT_MAX: Final = 65_535
SOCKET_PATH_BYTES_MAX: Final = 107
"""What fits into the kernel's socket address, without the closing zero (Linux)."""

_HOST_PORT: Final = re.compile(
    r"(?P<host>[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?\.?|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})",
    re.ASCII,
)


def split_host_port(address: str) -> tuple[str, int]:
    """Return host and port of "host:port" or "[IPv6 address]:port"; port 0 is any free port.

    The host comes without brackets. Raises ValueError for anything else.
    """
    found = _HOST_PORT.fullmatch(address)
    if found is None or int(found["port"]) > PORT_MAX:
        raise ValueError(f'must be HOST:PORT, such as "127.0.0.1:7711", not {address!r}')
    return found["host"].strip("[]"), int(found["port"])


def check_listen_address(address: str) -> None:
    """Raise ValueError unless `address` is "" (do not listen) or HOST:PORT."""
    if address:
        split_host_port(address)


def check_target(address: str) -> None:
    """Raise ValueError unless `address` is "" (none), HOST:PORT, dns:///HOST:PORT or unix:PATH."""
    if not address:
        return
    if address.startswith("unix:"):
        path = address.removeprefix("unix:")
        if not path.strip("/"):
            raise ValueError(f"must name a socket file after unix:, not {address!r}")
        check_socket_path(path)
        return
    _, port = split_host_port(address.removeprefix("dns:///"))
    if port == 0:
        raise ValueError(f"must name the port to call, not {address!r}")


def check_socket_path(path: str) -> None:
    """Raise ValueError unless `path` is "" (no socket) or fits into a Unix socket address."""
    size_bytes = len(path.encode())
    if size_bytes > SOCKET_PATH_BYTES_MAX or "\0" in path:
        raise ValueError(
            f"must be a path of at most {SOCKET_PATH_BYTES_MAX} bytes, not one of {size_bytes}"
        )
