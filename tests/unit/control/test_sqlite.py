"""What only the store on SQLite does: files, schemas, and telling what is wrong with them."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite import SqliteStore, codec
from sidecar.control.storage.sqlite.migrate import migrations
from sidecar.control.storage.values import CompanyChange, StoredCompany
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.company.timeline import compile_snapshot
from sidecar.domain.errors import Unavailable
from sidecar.domain.limits.counters import CounterTotal
from tests.unit.control.support import (
    ALICE,
    LIFETIME,
    Writer,
    company,
    key_of,
    record,
    set_up,
    used,
)


def test_what_was_written_is_there_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    store = SqliteStore(path)
    set_up(store, "acme")
    writer = Writer()
    writer.write(record(5))
    writer.push(store)
    with store.read() as transaction:
        before = transaction.state()
    store.close()
    store = SqliteStore(path)
    with store.read() as transaction:
        assert before == transaction.state()
        assert ["acme"] == list(transaction.companies(["acme"]))
    assert 5 == used(store)
    store.close()


def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "plane.db")
    with store.write() as transaction:
        assert (2,) == transaction._one("PRAGMA synchronous")
        assert ("wal",) == transaction._one("PRAGMA journal_mode")
    store.close()


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    one, other = SqliteStore(tmp_path / "plane.db"), SqliteStore(tmp_path / "plane.db")
    set_up(one, "acme")
    with other.read() as transaction:
        assert 1 == transaction.state().revision
    one.close()
    other.close()


def test_an_opening_waits_for_another_that_is_in_the_middle_of_its_own(tmp_path: Path) -> None:
    """SQLite says at once that a file is locked which another is about to write ahead."""
    path = tmp_path / "plane.db"
    other = sqlite3.connect(path, isolation_level=None)
    switches = 0

    class Traced(SqliteStore):
        def _connect(self) -> sqlite3.Connection:
            connection = super()._connect()
            connection.set_trace_callback(meet)
            return connection

    def meet(statement: str) -> None:
        nonlocal switches
        other.rollback()
        if "journal_mode =" in statement:
            switches += 1
            if switches == 1:
                other.execute("BEGIN IMMEDIATE")

    store = Traced(path)
    other.close()
    assert 2 == switches
    with store.write() as transaction:
        assert ("wal",) == transaction._one("PRAGMA journal_mode")
    store.close()


def test_a_company_of_the_first_schema_gets_the_timeline_of_its_document(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    connection = sqlite3.connect(path)
    connection.executescript(migrations()[0][1])
    connection.execute(f"PRAGMA application_id = {int.from_bytes(b'tlyd')}")
    connection.execute("PRAGMA user_version = 1")
    rows = [("acme", 7, codec.document(company())), ("gone", 8, None)]
    connection.executemany("INSERT INTO company VALUES (?, ?, ?)", rows)
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    snapshot = compile_snapshot(company(), 7)
    with store.read() as transaction:
        assert {"acme": StoredCompany(company(), snapshot)} == transaction.companies(["acme"])
        assert {"acme": snapshot} == transaction.snapshots(["acme"])
        assert {} == transaction.tombstones(["gone"])
        assert [
            CompanyChange("acme", 7, snapshot),
            CompanyChange("gone", 8, None),
        ] == transaction.company_changes(0, "", 10, INT64_MAX)[0]
    store.close()


def test_a_counter_of_the_first_schema_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    connection = sqlite3.connect(path)
    connection.executescript(migrations()[0][1])
    connection.execute(f"PRAGMA application_id = {int.from_bytes(b'tlyd')}")
    connection.execute("PRAGMA user_version = 1")
    row = (*codec.counter_columns(key_of()), 5, 9)
    connection.execute("INSERT INTO counter VALUES (?, ?, ?, ?, ?, ?, ?, ?)", row)
    connection.commit()
    connection.close()
    store = SqliteStore(path)
    with store.write() as transaction:
        assert None is transaction.rollover_window(key_of())
        transaction.add_to_counters(ALICE, {key_of(): 2}, 10)
        (total,) = transaction.totals([key_of()], ALICE)
    assert CounterTotal("acme", "tokens", LIFETIME, 7, 2, 10) == total
    store.close()


def test_a_store_of_a_newer_schema_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    SqliteStore(path).close()
    newest = migrations()[-1][0]
    connection = sqlite3.connect(path)
    connection.execute(f"PRAGMA user_version = {newest + 1}")
    connection.close()
    with pytest.raises(StoreRefused, match="a newer tallyd wrote it"):
        SqliteStore(path)


@pytest.mark.parametrize(
    "statement", ["CREATE TABLE theirs (x)", "PRAGMA application_id = 7"], ids=["table", "name"]
)
def test_a_database_of_another_program_is_refused_and_left_alone(
    tmp_path: Path, statement: str
) -> None:
    path = tmp_path / "plane.db"
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.close()
    before = path.read_bytes()
    with pytest.raises(StoreRefused, match="another program"):
        SqliteStore(path)
    assert before == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plane.db"
    path.write_bytes(b"no database at all, but long enough to have a header" * 100)
    with pytest.raises(StoreRefused, match="file is not a database"):
        SqliteStore(path)


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreRefused, match="nowhere"):
        SqliteStore(tmp_path / "nowhere" / "plane.db")


def test_a_full_disk_is_unavailable_and_undone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "plane.db")
    with store.write() as transaction:
        pages = transaction._one("PRAGMA page_count")[0]
        transaction._one(f"PRAGMA max_page_count = {pages + 2}")
    writer = Writer()
    writer.write(*(record(1, key=f"k{at}") for at in range(500)))
    with pytest.raises(Unavailable, match="full"):
        writer.push(store)
    assert 0 == used(store)
    with store.write() as transaction:
        transaction._one("PRAGMA max_page_count = 1000000")
    assert 500 == writer.push(store).watermark
    store.close()


def test_documents_are_json_that_stays_readable() -> None:
    """Golden: what is on disk outlives a change of the domain's field names."""
    document = b'{"id":"acme","subscription":{"plan":"pro","anchor_us":1763942400000000}}'
    assert document == codec.document(company())
    assert company() == codec.company(document)


def test_migrations_are_numbered_without_gaps() -> None:
    assert list(range(1, len(migrations()) + 1)) == [number for number, _ in migrations()]
