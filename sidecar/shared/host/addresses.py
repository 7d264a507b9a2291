"""Addresses as text: HOST:PORT, or [IPv6 address]:PORT."""

from __future__ import annotations

import re
from typing import Final

PORT_MAX: Final = 65_535

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


def join_host_port(host: str, port: int) -> str:
    """The reverse."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
