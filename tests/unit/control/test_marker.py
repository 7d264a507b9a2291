"""Whether a missing database is a new beginning or a loss."""

from __future__ import annotations

import shutil
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite import SqliteStore


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """One that was there, and was closed in order."""
    path = tmp_path / "control.db"
    SqliteStore(path).close()
    return path


def epoch_of(store: SqliteStore) -> str:
    with store.read() as transaction:
        return transaction.state().epoch


@pytest.mark.parametrize("emptied", [False, True])
def test_a_database_that_was_there_and_is_gone_is_refused(database: Path, emptied: bool) -> None:
    if emptied:
        database.write_bytes(b"")
    else:
        database.unlink()
    with pytest.raises(StoreRefused, match="a database was here and is missing or empty"):
        SqliteStore(database)
    assert database.exists() is emptied


def test_a_refusal_names_what_was_written_of_the_database_as_it_went(database: Path) -> None:
    with closing(SqliteStore(database)) as store:
        database.unlink()
        rescued = store.rescue()
    assert rescued is not None
    for name in ("control.db-wal", "control.db-shm"):
        database.with_name(name).unlink(missing_ok=True)
    with pytest.raises(StoreRefused, match=f"Restore it from {rescued.name}"):
        SqliteStore(database)
    rescued.rename(database)
    with closing(SqliteStore(database)) as store:
        assert "" == store.lost()


def test_where_nothing_can_be_written_a_rescue_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with closing(SqliteStore(folder / "control.db")) as store:
        shutil.rmtree(folder)
        assert store.rescue() is None


def test_who_says_so_begins_with_an_empty_database(database: Path) -> None:
    database.unlink()
    with closing(SqliteStore(database, begin_anew=True)) as store:
        epoch = epoch_of(store)
    with closing(SqliteStore(database)) as store:
        assert epoch == epoch_of(store)
    assert f"{epoch}\n" == database.with_name("control.db.expected").read_text()


def test_beginning_anew_takes_nothing_from_a_database_that_is_there(database: Path) -> None:
    with closing(SqliteStore(database)) as store:
        epoch = epoch_of(store)
    with closing(SqliteStore(database, begin_anew=True)) as store:
        assert epoch == epoch_of(store)


def test_a_database_of_an_earlier_version_gets_its_marker_when_it_is_opened(
    database: Path,
) -> None:
    marker = database.with_name("control.db.expected")
    marker.unlink()
    SqliteStore(database).close()
    assert marker.exists()
    assert 0o600 == marker.stat().st_mode & 0o777


def test_a_marker_that_cannot_be_written_keeps_no_plane_from_starting(tmp_path: Path) -> None:
    marker = tmp_path / "control.db.expected"
    marker.symlink_to(tmp_path / "elsewhere")
    with closing(SqliteStore(tmp_path / "control.db")) as store:
        assert epoch_of(store)
    assert not (tmp_path / "elsewhere").exists()
