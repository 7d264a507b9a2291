"""Brings a database file to the schema of this program.

Migrations are files `NNNN_name.sql`, applied in order, all in one transaction; the number of the
last one is the schema's version. A file of a newer version, or of another program, is refused.
"""

from __future__ import annotations

import sqlite3
from importlib import resources
from typing import Final
from uuid import uuid4

from sidecar.control.errors import StoreRefused

_APPLICATION_ID: Final = int.from_bytes(b"tlyd")
_FIRST_STATE: Final = (
    "INSERT OR IGNORE INTO meta (id, epoch, revision, ledger_version) VALUES (1, ?, 0, 0)"
)
_SQLITE_VERSION_MIN: Final = (3, 37, 0)  # STRICT tables


def migrations() -> list[tuple[int, str]]:
    """Version and text of every migration, in order."""
    folder = resources.files("sidecar.control.storage.sqlite").joinpath("migrations")
    files = sorted(
        (file for file in folder.iterdir() if file.name.endswith(".sql")),
        key=lambda file: file.name,
    )
    return [(int(file.name.split("_")[0]), file.read_text("utf-8")) for file in files]


def migrate(connection: sqlite3.Connection, name: str) -> None:
    """Apply what is missing. `name` says in errors which database is meant."""
    if sqlite3.sqlite_version_info < _SQLITE_VERSION_MIN:
        raise StoreRefused(f"SQLite 3.37 or newer is needed, this is {sqlite3.sqlite_version}")
    steps = migrations()
    newest = steps[-1][0]
    if _stamp(connection) == (_APPLICATION_ID, newest):
        return  # without a write: on a full disk there may be no room for one
    try:
        connection.execute("BEGIN IMMEDIATE")
        version = _version(connection, name)
        if version > newest:
            raise StoreRefused(
                f"{name}: its schema has version {version}, this program knows up to {newest}; "
                "a newer tallyd wrote it"
            )
        for number, script in steps:
            if number > version:
                _run(connection, script)
        connection.execute(f"PRAGMA application_id = {_APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {newest}")
        connection.execute(_FIRST_STATE, (str(uuid4()),))
        connection.execute("COMMIT")
    except BaseException:
        connection.rollback()  # no error where SQLite has done it, as it may for a failing disk
        raise


def _stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    """Whose database it is, and the version of its schema."""
    application_id = connection.execute("PRAGMA application_id").fetchone()[0]
    return application_id, connection.execute("PRAGMA user_version").fetchone()[0]


def _version(connection: sqlite3.Connection, name: str) -> int:
    application_id, version = _stamp(connection)
    tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    ours = (_APPLICATION_ID,) if tables else (0, _APPLICATION_ID)
    if application_id not in ours:
        raise StoreRefused(f"{name}: is a database of another program")
    return version


def _run(connection: sqlite3.Connection, script: str) -> None:
    """Run the statements of a script within the open transaction; `executescript` would end it."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""
