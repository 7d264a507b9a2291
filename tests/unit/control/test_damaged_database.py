"""A database that is damaged is refused as a whole, and is left alone once it is found to be."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import chain, repeat
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from sidecar.control.errors import StoreRefused
from sidecar.control.server import serve
from sidecar.control.storage.sqlite import SqliteStore, codec
from sidecar.control.storage.sqlite import verification as module
from sidecar.domain.company.model import Company
from sidecar.domain.errors import DataLoss, Unavailable
from sidecar.shared.config import ControlConfig
from tests.unit.control.support import ALICE, Writer, record, set_up

PAGE_BYTES = 4096
RECORDS = 400


def written(path: Path) -> int:
    """Write a ledger of several pages, and close it; the first page of records."""
    store = SqliteStore(path)
    set_up(store, "acme")
    writer = Writer(ALICE)
    writer.write(*(record(at, key=f"key {at}") for at in range(1, RECORDS + 1)))
    writer.push(store)
    store.close()
    data = path.read_bytes()
    return data.index(b"key 200") // PAGE_BYTES


def overwrite(path: Path, page: int) -> None:
    with open(path, "r+b") as opened:
        opened.seek(page * PAGE_BYTES)
        opened.write(b"\x77" * PAGE_BYTES)


def test_a_database_with_a_damaged_page_is_refused_with_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    overwrite(path, written(path))
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match=r"control\.db: is damaged .* restore it from a backup"):
        SqliteStore(path)
    assert before == path.read_bytes()


def test_a_database_that_is_cut_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    written(path)
    data = path.read_bytes()
    for size in (PAGE_BYTES, len(data) // 2):
        path.write_bytes(data[:size])
        with pytest.raises(StoreRefused, match="is damaged"):
            SqliteStore(path)


def test_damage_that_shows_later_is_told_to_whoever_watches_the_files(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    page = written(path)
    store = SqliteStore(path)
    assert "" == store.lost()
    overwrite(path, page)
    with pytest.raises(Unavailable) as raised, store.read() as reading:
        reading._all("SELECT record FROM ledger")
    assert "STORE_UNAVAILABLE" == raised.value.reason
    assert "is damaged" in store.lost()
    store.close()
    with pytest.raises(StoreRefused, match="is damaged"):
        SqliteStore(path)


def test_a_database_that_takes_too_long_to_look_through_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "control.db"
    written(path)
    monkeypatch.setattr(module, "_STEPS_BETWEEN_LOOKS", 1)
    times: Iterator[float] = chain([0.0], repeat(module.LOOK_S_MAX))
    connection = sqlite3.connect(path)
    with capture_logs() as logs:
        module.require_sound(connection, "control.db", lambda: next(times))
    assert ["control.database_not_looked_through"] == [line["event"] for line in logs]
    assert (RECORDS,) == connection.execute("SELECT count(*) FROM ledger").fetchone()
    connection.close()


def test_a_document_that_is_none_is_data_that_is_lost_and_no_other_suffers(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "control.db")
    with store.write() as writing:
        documents = [("a", codec.document(Company("a"))), ("b", b'{"id": 7}'), ("c", b"\xff")]
        writing._connection.executemany(
            "INSERT INTO company (company, revision, document) VALUES (?, 1, ?)", documents
        )
    with store.read() as reading:
        assert ["a"] == list(reading.snapshots(["a"]))
        for company in ("b", "c"):
            with pytest.raises(DataLoss, match="a company in the database is damaged"):
                reading.snapshots([company])
    assert "" == store.lost()
    store.close()


async def test_a_plane_whose_catalog_is_damaged_does_not_start(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    store = SqliteStore(path)
    with store.write() as writing:
        writing._connection.execute("INSERT INTO catalog VALUES (1, 1, x'7b7d5d')")
    store.close()
    with pytest.raises(
        StoreRefused, match=r"control\.db: is damaged \(the catalog .* restore it from"
    ):
        await serve(ControlConfig(database_path=str(path), listen="127.0.0.1:0", http_listen=""))
