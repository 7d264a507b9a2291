"""Whom the files and sockets of the daemons are open to, whatever umask they inherit."""

from __future__ import annotations

import asyncio
import stat
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.daemons import CATALOG_FILE, ControlPlane, Standalone
from tests.support.ledger import apply

pytestmark = pytest.mark.asyncio


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def open_to_others(folder: Path) -> dict[str, str]:
    """Paths below a folder that anyone but their owner can do something with, and their modes."""
    return {
        str(path.relative_to(folder)): oct(mode(path))
        for path in folder.rglob("*")
        if mode(path) & 0o077
    }


async def modes_while_starting(sidecar: Standalone) -> set[int]:
    """Modes that its socket has from the first moment on until it answers."""
    seen = set()
    starting = asyncio.create_task(sidecar.start())
    while not starting.done():
        with suppress(FileNotFoundError):
            seen.add(mode(sidecar.socket))
        await asyncio.sleep(0)
    await starting
    return seen | {mode(sidecar.socket)}


@pytest.mark.parametrize("durability", ["process", "disk"])
@pytest.mark.parametrize("transport", ["native", "grpcio"])
async def test_nothing_of_a_sidecars_store_is_open_to_others(
    tmp_path: Path, transport: str, durability: str
) -> None:
    sidecar = Standalone(tmp_path, transport=transport, durability=durability)
    sidecar.umask = 0
    try:
        seen = await modes_while_starting(sidecar)
        assert 0o660 in seen
        assert [] == [oct(found) for found in seen if found & 0o007]
        assert {} == open_to_others(sidecar.store)
        assert 0o700 == mode(sidecar.store)
    finally:
        await sidecar.kill()


async def test_a_store_that_an_earlier_version_left_open_is_closed_at_the_start(
    tmp_path: Path,
) -> None:
    async with Standalone(tmp_path) as sidecar:
        await sidecar.stop()
        for path in (sidecar.store, *sidecar.store.iterdir()):
            path.chmod(0o755)
        await sidecar.start()
        assert {} == open_to_others(sidecar.store)
        assert 0o700 == mode(sidecar.store)


async def test_the_sockets_folder_lets_its_group_through_where_it_is_made(tmp_path: Path) -> None:
    socket = tmp_path / "run" / "tallyd" / "s.sock"
    sidecar = Standalone(tmp_path, socket_path=socket)
    sidecar.umask = 0
    async with sidecar:
        assert [0o750, 0o750, 0o660] == [
            mode(path) for path in (socket.parent.parent, socket.parent, socket)
        ]


async def test_nothing_of_a_planes_database_is_open_to_others(tmp_path: Path) -> None:
    folder = tmp_path / "plane"
    folder.mkdir()
    plane = ControlPlane(folder / "control.db")
    plane.umask = 0
    async with plane:
        await apply(plane, CATALOG_FILE)
        assert (folder / "control.db-wal").exists()
        assert {} == open_to_others(folder)


async def test_a_database_that_an_earlier_version_left_open_is_closed_at_the_start(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "plane"
    folder.mkdir()
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, CATALOG_FILE)
        await plane.kill()
        for path in folder.iterdir():
            path.chmod(0o644)
        await plane.start()
        assert {} == open_to_others(folder)
