"""A plane, three sidecars behind networks and disks that fail, and somebody who restarts them."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.crash.chaos import SMALL_PUSHES
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.failing_disk import FailingDisk
from tests.support.ledger import apply, catalog_text, hold
from tests.support.ports import ANY_PORT
from tests.support.processes import Daemon
from tests.support.proxy import Proxy

DURABILITIES: Final = {"a": "process", "b": "disk", "steady": "process"}
STEADY: Final = "steady"
"""It is never killed: what it holds of memory must not grow."""
_LOOK_SECONDS: Final = 0.1


class Kept:
    """A daemon that is started again where it ends, as Kubernetes does.

    `ends`: how often it ended by itself.
    """

    def __init__(self, name: str, daemon: Daemon, disk: FailingDisk) -> None:
        self.name = name
        self.daemon = daemon
        self.disk = disk
        self.ends = 0
        self._lock = asyncio.Lock()

    async def kill(self, seconds: float = 0.0) -> None:
        """Kill it, and start it again after a while."""
        async with self._lock:
            await self.daemon.kill()
            await asyncio.sleep(seconds)
            await self.daemon.spawn()

    async def stop(self, seconds: float) -> None:
        """Stop it in order, and start it again after a while."""
        async with self._lock:
            if self.daemon.runs:
                await self.daemon.stop()
            else:
                await self.daemon.kill()
            await asyncio.sleep(seconds)
            await self.daemon.spawn()

    async def keep(self) -> None:
        """Start it again where it ends by itself, for ever."""
        while True:
            async with self._lock:
                if not self.daemon.runs:
                    self.ends += 1
                    await self.daemon.kill()
                    await self.daemon.spawn()
            await asyncio.sleep(_LOOK_SECONDS)


@dataclass(slots=True)
class Pod:
    """A sidecar, its disk, and its way to the plane."""

    kept: Kept
    sidecar: Sidecar
    proxy: Proxy

    async def is_ready(self) -> bool | None:
        """What its readiness probe says; `None` where nobody answers."""
        ports = [event["http_port"] for event in self.sidecar.this_life() if "http_port" in event]
        return await asyncio.to_thread(_probed, ports[-1]) if ports else None


@dataclass(slots=True)
class World:
    """All of it. `plane` is that of `kept_plane`."""

    plane: ControlPlane
    kept_plane: Kept
    pods: list[Pod]

    def kept(self) -> list[Kept]:
        """Every daemon."""
        return [self.kept_plane, *(pod.kept for pod in self.pods)]


@asynccontextmanager
async def world_in(folder: Path, seed: int) -> AsyncIterator[World]:
    """Start it all; daemons that end are started again while the block lasts."""
    async with AsyncExitStack() as stack:
        (folder / "plane").mkdir()
        plane_disk = FailingDisk(folder / "disks" / "plane", folder / "plane", seed=seed)
        plane = ControlPlane(folder / "plane" / "control.db")
        plane.environment = plane_disk.environment
        await stack.enter_async_context(plane)
        await apply(plane, catalog_text())
        pods = []
        for name, durability in DURABILITIES.items():
            disk = FailingDisk(folder / "disks" / name, folder / name, seed=seed)
            proxy = await stack.enter_async_context(Proxy(plane.address))
            options = {"durability": durability, "http_listen": ANY_PORT, **SMALL_PUSHES}
            sidecar = Sidecar(folder / name, proxy.address, **options)
            sidecar.environment = disk.environment
            await stack.enter_async_context(sidecar)
            await hold(sidecar)
            pods.append(Pod(Kept(name, sidecar, disk), sidecar, proxy))
        world = World(plane, Kept("plane", plane, plane_disk), pods)
        keepers = [asyncio.create_task(kept.keep()) for kept in world.kept()]
        try:
            yield world
        finally:
            for keeper in keepers:
                keeper.cancel()
            with suppress(asyncio.CancelledError):
                await asyncio.gather(*keepers)


def _probed(port: int) -> bool | None:
    try:
        with urllib.request.urlopen(
            f"http://127.0.0.1:{port}/readyz", timeout=HANG_SECONDS_MAX
        ) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return False
    except OSError:
        return None
