"""The store or the socket of a running sidecar is deleted, moved away or replaced."""

from __future__ import annotations

import asyncio
import shutil
import socket
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.api.enforcement.v1 import enforcement_pb2_grpc
from tests.support.audit import assert_exact
from tests.support.bounds import HANG_SECONDS_MAX
from tests.support.channels import channel_to
from tests.support.daemons import ControlPlane, Sidecar, Standalone
from tests.support.ledger import apply, catalog_text, check, hold, status
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.waits import answered

CANNOT_RUN = 4


def delete_the_folder(store: Path) -> None:
    shutil.rmtree(store)


def delete_the_data(store: Path) -> None:
    (store / "data.mdb").unlink()


def delete_the_lock(store: Path) -> None:
    (store / "owner.lock").unlink()


def put_a_copy_in_its_place(store: Path) -> None:
    copy = store.with_name("copy")
    shutil.copytree(store, copy)
    store.rename(store.with_name("moved"))
    copy.rename(store)


@pytest.mark.parametrize(
    ("happens", "durability", "transport"),
    [
        (delete_the_folder, "process", "native"),
        pytest.param(delete_the_data, "disk", "native", marks=pytest.mark.slow),
        pytest.param(put_a_copy_in_its_place, "process", "native", marks=pytest.mark.slow),
        pytest.param(delete_the_folder, "process", "grpcio", marks=pytest.mark.slow),
    ],
)
async def test_every_call_that_was_answered_before_the_store_was_lost_is_in_the_ledger(
    tmp_path: Path, happens: Callable[[Path], None], durability: str, transport: str
) -> None:
    books = Books()
    options = {"durability": durability, "transport": transport, "push_linger_ms": 1000}
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, **options) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=7, again=False):
                await answered(books, 1000)
                happens(sidecar.store)
                assert CANNOT_RUN == await sidecar.ended()
                before = books.answers
                await sidecar.start()
                await hold(sidecar)
                await answered(books, before + 200)
            if transport == "grpcio":
                # What it has not handed on when it is cut ends so; that is not in our hands.
                books.wrong = [wrong for wrong in books.wrong if not wrong.startswith("CANCELLED")]
            await assert_exact(books, plane, sidecar, ids_kept=False)
            (gone,) = sidecar.seen("store.gone")
            assert str(sidecar.store) in gone["what"]


async def test_a_lost_lock_ends_the_process_since_another_could_take_the_store(
    tmp_path: Path,
) -> None:
    async with Standalone(tmp_path) as sidecar:
        delete_the_lock(sidecar.store)
        assert CANNOT_RUN == await sidecar.ended()
        assert "owner.lock was deleted" in sidecar.seen("daemon.cannot_run")[0]["error"]
        assert [] == [event for event in sidecar.events if "Traceback" in str(event)]


async def test_nothing_is_touched_in_the_folder_that_took_the_place_of_the_store(
    tmp_path: Path,
) -> None:
    async with Standalone(tmp_path) as sidecar:
        sidecar.store.rename(tmp_path / "moved")
        sidecar.store.mkdir()
        (sidecar.store / "in-use").write_text("of another")
        assert CANNOT_RUN == await sidecar.ended()
        assert ["in-use"] == [path.name for path in sidecar.store.iterdir()]


@pytest.mark.parametrize("with_folder", [False, True], ids=["socket", "its folder"])
async def test_a_deleted_socket_is_bound_again_and_calls_go_on(
    tmp_path: Path, with_folder: bool
) -> None:
    path = tmp_path / "run" / "s.sock"
    async with Standalone(tmp_path / "home", socket_path=path) as sidecar:
        sidecar.address = f"unix:{path}"
        if with_folder:
            shutil.rmtree(path.parent)
        else:
            path.unlink()
        await sidecar.event("socket.bound_again")
        async with channel_to(sidecar.address) as newcomer:
            api = enforcement_pb2_grpc.EnforcementServiceStub(newcomer)
            request = pb.CheckAndIncrementRequest(company="acme", feature="calls", quantity=1)
            answer = await api.CheckAndIncrement(request, timeout=HANG_SECONDS_MAX)
        assert answer.decision.allowed
        assert 0o660 == stat.S_IMODE(path.stat().st_mode)
        assert (await status(sidecar)).ready
        assert 0 == await sidecar.stop()
        assert not path.exists()


async def test_a_socket_that_another_process_has_taken_is_left_alone_until_it_is_free(
    tmp_path: Path,
) -> None:
    async with Standalone(tmp_path) as sidecar:
        await check(sidecar, "acme", "calls")  # the connection stays
        with socket.socket(socket.AF_UNIX) as other:
            # In one step, so that the path is never free.
            other.bind(str(tmp_path / "other.sock"))
            other.listen()
            (tmp_path / "other.sock").rename(sidecar.socket)
            await until(lambda: _ready(sidecar, False), "it is ready without its socket")
            assert (await check(sidecar, "acme", "calls")).decision.allowed
            (lost,) = sidecar.seen("socket.lost")
            assert "in use by another process" in lost["error"]
        await until(lambda: _ready(sidecar, True), "it has not taken its socket back")
        assert 1 == len(sidecar.seen("socket.bound_again")) == len(sidecar.seen("socket.back"))


async def test_a_socket_of_another_process_survives_the_stop(tmp_path: Path) -> None:
    async with Standalone(tmp_path) as sidecar:
        with socket.socket(socket.AF_UNIX) as other:
            other.bind(str(tmp_path / "other.sock"))
            other.listen()
            (tmp_path / "other.sock").rename(sidecar.socket)
            assert 0 == await sidecar.stop()
            assert sidecar.socket.exists()


async def test_on_grpcio_a_deleted_socket_ends_the_process_in_order(tmp_path: Path) -> None:
    async with Standalone(tmp_path, transport="grpcio") as sidecar:
        sidecar.socket.unlink()
        assert CANNOT_RUN == await sidecar.ended()
        await asyncio.sleep(0)
        assert sidecar.seen("sidecar.stopped")


async def _ready(sidecar: Sidecar, expected: bool) -> bool:
    return (await status(sidecar)).ready is expected
