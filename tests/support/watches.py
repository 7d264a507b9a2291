"""Reading the events of a watch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from tests.support.bounds import HANG_SECONDS_MAX

Event = pb.WatchEntitlementsResponse


class Events:
    """The events of one watch. `receive` waits for the next one."""

    def __init__(self, receive: Callable[[], Awaitable[Event]]) -> None:
        self._receive = receive

    async def next(self) -> Event:
        """The next event."""
        async with asyncio.timeout(HANG_SECONDS_MAX):
            return await self._receive()

    async def told(self, events: int) -> list[str]:
        """The next events in words."""
        return [words(await self.next()) for _ in range(events)]


def words(event: Event) -> str:
    """An event such as `THRESHOLD calls 50`."""
    kind = pb.EntitlementEvent.Name(event.event).removeprefix("ENTITLEMENT_EVENT_")
    return f"{kind} {event.feature} {event.percent}" if event.percent else f"{kind} {event.feature}"


@asynccontextmanager
async def watching(
    api: Any, *features: str, of: str = "acme", **fields: Any
) -> AsyncIterator[Events]:
    """Watch a company through a stub, until the block ends."""
    request = pb.WatchEntitlementsRequest(company=of, features=features, **fields)
    call = api.WatchEntitlements(request)
    try:
        yield Events(call.read)
    finally:
        call.cancel()
