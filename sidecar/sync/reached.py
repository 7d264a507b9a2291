"""How far the plane's changes were followed, for whoever waits for one of them."""

from __future__ import annotations

import asyncio
import contextlib

from sidecar.storage.watch_position import WatchPosition


class Reached:
    """`revision`: what has been applied. `position`: where that is, once it was in this run."""

    def __init__(self, revision: int) -> None:
        self.revision = revision
        self.position: WatchPosition | None = None
        self._moved = asyncio.Condition()

    def start_over(self) -> None:
        """The plane's state is another: what was reached of the former one is nowhere."""
        self.position = None

    async def note(self, position: WatchPosition | None) -> None:
        """Something was applied, and maybe a position reached."""
        if position is not None:
            self.position, self.revision = position, position.revision
        async with self._moved:
            self._moved.notify_all()

    async def wait(self, revision: int, seconds: float) -> None:
        """Wait until a revision has been applied; bounded, in case that the watch is cut off."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self.revision >= revision)
