"""A plane and sidecars with a network between them that a test cuts, for each sidecar by itself."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, Protocol

import pytest

from tests.support.daemons import ControlPlane, Sidecar
from tests.support.namespaces import Link, Namespace, NoNetworks
from tests.support.processes import Daemon, Event
from tests.support.proxy import Proxy

_PORT: Final = 7721


class Network(Protocol):
    """A plane that runs, and the ways to it. Sidecars are numbered from 0."""

    plane: ControlPlane

    def sidecar(self, number: int, folder: Path, **options: object) -> Sidecar:
        """A sidecar at the end of a way; several may be at the same. It is not started."""
        ...

    async def cut(self, number: int) -> None:
        """Let nothing through on a way: nobody is told, and connections are not closed."""
        ...

    async def mend(self, number: int) -> None:
        """Let everything through again."""
        ...


MakeNetwork = Callable[[Path, int], AbstractAsyncContextManager[Network]]
"""Makes one, given the plane's database, and how many ways there are to be."""


@asynccontextmanager
async def proxies(database: Path, ways: int) -> AsyncIterator[Network]:
    """Ways through proxies on loopback."""
    async with ControlPlane(database) as plane, AsyncExitStack() as stack:
        passing = [await stack.enter_async_context(Proxy(plane.address)) for _ in range(ways)]
        yield _Proxied(plane, passing)


@asynccontextmanager
async def namespaces(database: Path, ways: int) -> AsyncIterator[Network]:
    """Cables between networks of the kernel's; skips the test where it gives none."""
    with ExitStack() as stack:
        try:
            hub = stack.enter_context(Namespace())
            others = [stack.enter_context(Namespace()) for _ in range(ways)]
            links = [Link(hub, other, number) for number, other in enumerate(others)]
        except NoNetworks as error:
            pytest.skip(f"no networks of the kernel's here: {error}")
        async with _Door(hub) as door, _PlacedPlane(database, hub, door) as plane:
            yield _Linked(plane, others, links)


@asynccontextmanager
async def network(database: Path, ways: int) -> AsyncIterator[Network]:
    """Networks of the kernel's where it gives any, else proxies."""
    make: MakeNetwork = namespaces if has_namespaces() else proxies
    async with make(database, ways) as made:
        yield made


def has_namespaces() -> bool:
    """Whether the kernel gives networks, and links between them."""
    try:
        with Namespace() as one, Namespace() as other:
            Link(one, other, 0)
    except NoNetworks:
        return False
    return True


class _Proxied:
    def __init__(self, plane: ControlPlane, passing: list[Proxy]) -> None:
        self.plane = plane
        self._passing = passing

    def sidecar(self, number: int, folder: Path, **options: object) -> Sidecar:
        return Sidecar(folder, self._passing[number].address, **options)

    async def cut(self, number: int) -> None:
        await self._passing[number].swallow()

    async def mend(self, number: int) -> None:
        await self._passing[number].connect()


class _Linked:
    def __init__(self, plane: ControlPlane, others: list[Namespace], links: list[Link]) -> None:
        self.plane = plane
        self._others = others
        self._links = links

    def sidecar(self, number: int, folder: Path, **options: object) -> Sidecar:
        address = f"{self._links[number].far}:{_PORT}"
        return _PlacedSidecar(folder, address, self._others[number], **options)

    async def cut(self, number: int) -> None:
        self._links[number].cut()

    async def mend(self, number: int) -> None:
        self._links[number].mend()


class _PlacedSidecar(Sidecar):
    def __init__(self, folder: Path, control: str, placed: Namespace, **options: object) -> None:
        super().__init__(folder, control, **options)
        self._placed = placed

    def command(self) -> list[str]:
        return self._placed.within(super().command())


class _PlacedPlane(ControlPlane):
    """A plane in a network, of which this process sees a door."""

    def __init__(self, database: Path, placed: Namespace, door: Proxy) -> None:
        super().__init__(database)
        self.options["listen"] = f"0.0.0.0:{_PORT}"
        self._placed = placed
        self._door = door

    def command(self) -> list[str]:
        return self._placed.within(super().command())

    async def start(self) -> Event:
        ready = await super().start()
        self.address = self._door.address
        return ready

    async def _ended(self) -> int:
        return await Daemon._ended(self)  # its port is kept: nobody else is in its network


class _Door(Proxy):
    """Passes connections of this process on into a network."""

    def __init__(self, placed: Namespace) -> None:
        super().__init__(f"127.0.0.1:{_PORT}")
        self._placed = placed

    async def _dial(self, server: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        host, port = server.split(":")
        opened = self._placed.open_socket()
        opened.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(opened, (host, int(port)))
        except BaseException:
            opened.close()
            raise
        return await asyncio.open_connection(sock=opened)
