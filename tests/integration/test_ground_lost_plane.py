"""The database of a running control plane is deleted, moved away or replaced."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.api.control.v1 import control_pb2
from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.values import KnownIncarnation
from sidecar.domain.errors import Unavailable
from tests.support.audit import assert_exact
from tests.support.daemons import ControlPlane, Sidecar
from tests.support.ledger import EXPORTS, apply, catalog_text, check, hold
from tests.support.load import Books, load
from tests.support.processes import until
from tests.support.waits import answered

CANNOT_RUN = 4
INCARNATION = "11111111-2222-3333-4444-555555555555"


def move_the_database(folder: Path) -> None:
    for path in sorted(folder.glob("control.db*")):
        path.rename(folder / f"moved-{path.name}")


def move_the_log(folder: Path) -> None:
    (folder / "control.db-wal").rename(folder / "moved-control.db-wal")


def replace_the_database(folder: Path) -> None:
    """By an older copy, as who restores a backup under a running plane does."""
    with (
        closing(sqlite3.connect(folder / "control.db")) as present,
        closing(sqlite3.connect(folder / "restored.db")) as backup,
    ):
        present.backup(backup)
    move_the_database(folder)
    (folder / "restored.db").rename(folder / "control.db")


def put_back(folder: Path) -> None:
    for name in ("", "-wal", "-shm"):
        moved = folder / f"moved-control.db{name}"
        if moved.exists():
            moved.rename(folder / f"control.db{name}")
        elif name:
            (folder / f"control.db{name}").unlink(missing_ok=True)


@pytest.mark.parametrize(
    "happens",
    [
        move_the_database,
        pytest.param(move_the_log, marks=pytest.mark.slow),
        pytest.param(replace_the_database, marks=pytest.mark.slow),
    ],
)
async def test_a_push_is_acknowledged_only_by_a_database_that_is_there(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    books = Books()
    folder = tmp_path / "plane"
    folder.mkdir()
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, push_linger_ms=0) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=8, rest_s=0.001):
                await answered(books, 500)
                happens(folder)
                assert CANNOT_RUN == await plane.ended()
                assert plane.seen("control.store_gone")
                put_back(folder)
                await plane.start()
                await answered(books, books.answers + 200)
            await assert_exact(books, plane, sidecar)
            assert [] == sidecar.seen("sync.fenced")


@pytest.mark.parametrize("is_replaced", [False, True], ids=["deleted", "replaced"])
async def test_a_witness_of_leases_that_goes_under_a_running_plane_is_written_anew_and_told(
    tmp_path: Path, is_replaced: bool
) -> None:
    witness = tmp_path / "control.db.leases"
    async with ControlPlane(tmp_path / "control.db") as plane:
        await apply(plane, catalog_text(exports_max=100))
        shutil.copy(witness, tmp_path / "older")
        async with Sidecar(tmp_path / "a", plane.address) as sidecar:
            await hold(sidecar)
            assert (await check(sidecar, "acme", EXPORTS, 1)).decision.allowed
            before = set(witness_of(witness))
            witness.unlink()
            if is_replaced:
                shutil.copy(tmp_path / "older", witness)
            told = await plane.event("control.lease_witness_rewritten")
            assert str(witness) == told["file"]
            assert before <= set(witness_of(witness))

            async def is_shown() -> bool:
                question = control_pb2.GetLeaseRecoveryRequest()
                return bool((await plane.control.GetLeaseRecovery(question)).witness_rewrites)

            await until(is_shown, "nobody is told")
            assert 0 == await plane.stop()
            await plane.start()  # which has lost nothing, and knows it
            assert [] == plane.seen("control.state_lost")


def witness_of(path: Path) -> list[tuple[bytes]]:
    """The incarnations that a file knows to have been granted something."""
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT incarnation FROM holder").fetchall()


async def test_what_a_deleted_database_had_is_written_beside_it_and_nothing_is_lost(
    tmp_path: Path,
) -> None:
    books = Books()
    folder = tmp_path / "plane"
    folder.mkdir()
    async with ControlPlane(folder / "control.db") as plane:
        await apply(plane, catalog_text())
        async with Sidecar(tmp_path, plane.address, push_linger_ms=0) as sidecar:
            await hold(sidecar)
            async with load(sidecar, books, seed=18, rest_s=0.001):
                await answered(books, 300)
                for path in folder.glob("control.db*"):
                    path.unlink()
                assert CANNOT_RUN == await plane.ended()
                # The witness of leases may have been written anew by then.
                (rescued,) = set(folder.iterdir()) - set(folder.glob("control.db.leases*"))
                assert 0o600 == rescued.stat().st_mode & 0o777
                assert str(rescued) in plane.seen("daemon.cannot_run")[0]["error"]
                rescued.rename(folder / "control.db")
                await plane.start()
                await answered(books, books.answers + 100)
            await assert_exact(books, plane, sidecar)
            assert [] == sidecar.seen("sync.fenced")


@pytest.mark.parametrize("happens", [move_the_database, move_the_log, replace_the_database])
def test_no_transaction_succeeds_once_the_files_are_elsewhere(
    tmp_path: Path, happens: Callable[[Path], None]
) -> None:
    with closing(SqliteStore(tmp_path / "control.db")) as store:
        with store.write() as transaction:
            transaction.put_incarnation(KnownIncarnation(INCARNATION))
        happens(tmp_path)
        assert "was deleted" in store.lost() or "was replaced" in store.lost()
        with pytest.raises(Unavailable) as writing, store.write() as transaction:
            transaction.put_incarnation(KnownIncarnation(INCARNATION, watermark=1))
        with pytest.raises(Unavailable) as reading, store.read():
            pass
        assert {"STORE_GONE"} == {writing.value.reason, reading.value.reason}


def test_closing_leaves_the_files_of_the_database_that_took_the_place(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "control.db")
    move_the_database(tmp_path)
    with closing(SqliteStore(tmp_path / "control.db")) as successor:
        with successor.write() as transaction:
            transaction.put_incarnation(KnownIncarnation(INCARNATION))
        store.close()
        assert (tmp_path / "control.db-wal").exists()
        assert "" == successor.lost()
    shutil.rmtree(tmp_path)
