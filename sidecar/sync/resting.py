"""Resting: until there is something to do, or an instant."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sidecar.domain.time.units import SECOND_US


async def rest(wake: asyncio.Event, for_us: int) -> None:
    """Wait until woken, so many microseconds at most; not at all for fewer than 0."""
    with suppress(TimeoutError):
        async with asyncio.timeout(max(0, for_us) / SECOND_US):
            await wake.wait()
