"""Notices that the plane can be reached again, whoever tries.

gRPC connects anew by itself, at most a second after it failed, and says so. Without that each of
those who wait would find out alone, after a wait of up to ten seconds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Final

import grpc
import grpc.aio

SPREAD_SECONDS: Final = 1.0
"""Sidecars that lost the plane at once come back within so long, not at once."""


async def follow_connection(channel: grpc.aio.Channel, connected: Callable[[], None]) -> None:
    """Call `connected` whenever the connection is there, for ever; a bit later each time."""
    while True:
        state = channel.get_state(try_to_connect=True)
        if state is grpc.ChannelConnectivity.READY:
            await asyncio.sleep(random.random() * SPREAD_SECONDS)  # noqa: S311 - nothing secret
            connected()
        await channel.wait_for_state_change(state)
