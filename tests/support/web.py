"""Pages of a daemon's HTTP port."""

from __future__ import annotations

import asyncio
import http.client

from tests.support.bounds import HANG_SECONDS_MAX


async def get(address: str, path: str) -> tuple[int, str]:
    """Status and text of a page at HOST:PORT."""
    return await asyncio.to_thread(_fetch, address, path)


def _fetch(address: str, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection(address, timeout=HANG_SECONDS_MAX)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()
