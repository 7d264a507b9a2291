"""The wait after a failure, cut short where a lost connection to the plane is there again."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from sidecar.domain.time.units import SECOND_US
from sidecar.shared.backoff import Backoff


class RetryWait:
    """Waits between tries, longer after each failure. A new connection ends a wait early.

    It does so once, and then again after a success: a plane that takes connections, and fails
    whatever is asked, hastens nobody.
    """

    def __init__(self, backoff: Backoff | None = None) -> None:
        self._backoff = backoff or Backoff(random.random)
        self._connected = asyncio.Event()
        self._may_end_early = True

    def succeeded(self) -> None:
        """A try went well."""
        self._backoff.succeeded()
        self._may_end_early = True

    def connected(self) -> bool:
        """The plane can be reached again; whether that ends a wait early."""
        ends = self._may_end_early
        self._may_end_early = False
        if ends:
            self._connected.set()
        return ends

    async def rest(self) -> None:
        """A try failed: wait before the next."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._backoff.failed() / SECOND_US):
                await self._connected.wait()
        self._connected.clear()
