"""Addresses: where a daemon listens, and whom it calls."""

from __future__ import annotations

from typing import Final

from sidecar.shared.host.addresses import split_host_port

SOCKET_PATH_BYTES_MAX: Final = 107
"""What fits into the kernel's socket address, without the closing zero (Linux)."""


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
