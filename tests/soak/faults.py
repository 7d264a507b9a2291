"""What goes wrong in a world, one thing after another, by chance."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable

import grpc

from tests.soak.world import STEADY, Kept, World
from tests.support.failing_disk import BROKEN, FULL, SYNCS, WRITES
from tests.support.ledger import COMPANIES, apply, catalog_text
from tests.support.processes import until

SECONDS_MAX = 3.0
"""The longest that a fault lasts, and that nothing goes wrong between two."""


class Faults:
    """Has things go wrong while `run` runs; afterwards all is whole again. `done`: how often."""

    def __init__(self, world: World, rng: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._world = world
        self._rng = rng
        self._changes = 0
        self._kinds: dict[str, Callable[[], Awaitable[None]]] = {
            "sidecar killed": self._kill_sidecar,
            "sidecar stopped": self._stop_sidecar,
            "plane killed": self._kill_plane,
            "plane stopped": self._stop_plane,
            "network cut": self._cut,
            "network away": self._disconnect,
            "network silent": self._swallow,
            "network slow": self._delay,
            "disk full": self._full_disk,
            "disk broken": self._broken_disk,
            "catalog changed": self._change,
        }

    async def run(self, stop: asyncio.Event) -> None:
        """One fault after another, until told to stop."""
        kinds = list(self._kinds)
        while not stop.is_set():
            name = self._rng.choice(kinds)
            self.done[name] += 1
            await self._kinds[name]()
            await self._a_while()

    async def _a_while(self) -> None:
        # How long a fault lasts is chance; what has come of it is looked at all along.
        await asyncio.sleep(self._rng.uniform(0.2, SECONDS_MAX))

    def _some(self) -> Kept:
        return self._rng.choice([k for k in self._world.kept() if k.name not in (STEADY, "plane")])

    async def _kill_sidecar(self) -> None:
        await self._some().kill()

    async def _stop_sidecar(self) -> None:
        await self._some().stop(self._rng.uniform(0, SECONDS_MAX))

    async def _kill_plane(self) -> None:
        await self._world.kept_plane.kill(self._rng.uniform(0, SECONDS_MAX))

    async def _stop_plane(self) -> None:
        await self._world.kept_plane.stop(self._rng.uniform(0, SECONDS_MAX))

    async def _cut(self) -> None:
        proxy = self._rng.choice(self._world.pods).proxy
        proxy.cut_after_bytes = self._rng.randint(1, 6_000)

    async def _disconnect(self) -> None:
        proxy = self._rng.choice(self._world.pods).proxy
        await proxy.disconnect()
        await self._a_while()
        await proxy.connect()

    async def _swallow(self) -> None:
        proxy = self._rng.choice(self._world.pods).proxy
        await proxy.swallow()
        await self._a_while()
        await proxy.connect()

    async def _delay(self) -> None:
        proxy = self._rng.choice(self._world.pods).proxy
        proxy.delay_s = self._rng.uniform(0, 0.1)
        await self._a_while()
        proxy.delay_s = 0.0

    async def _full_disk(self) -> None:
        disk = self._rng.choice(self._world.kept()).disk
        disk.fail(self._rng.choice(FULL))
        await self._a_while()
        disk.mend()

    async def _broken_disk(self) -> None:
        """Not that of the steady one, since it may end it."""
        disk = self._rng.choice([kept for kept in self._world.kept() if kept.name != STEADY]).disk
        disk.fail(BROKEN, kinds=self._rng.choice((SYNCS, WRITES)), per_thousand=300)
        await self._a_while()
        disk.mend()

    async def _change(self) -> None:
        """Companies come and go; those of the load stay as they are."""
        self._changes += 1
        names = [f"company-{self._changes}-{number}" for number in range(20)]
        gone = [f"company-{self._changes - 1}-{number}" for number in range(20)]
        text = catalog_text((*COMPANIES, *names))

        async def applied() -> bool:
            try:
                await apply(self._world.plane, text, gone if self._changes > 1 else ())
            except grpc.aio.AioRpcError:  # its disk is full, or it ends
                return False
            return True

        await until(applied, "the catalog cannot be changed")
