"""The file of a witness: opened, read and written, by whoever has it. See `witness.py`."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite import codec
from sidecar.control.storage.sqlite.verification import is_damage
from sidecar.control.storage.witness_port import Witnessed, WitnessedHolder
from sidecar.shared.held_files import HeldFiles
from sidecar.shared.private_files import keep_private

_APPLICATION_ID: Final = int.from_bytes(b"tlyw")
_VERSION: Final = 2
_BUSY_S: Final = 5.0
_WITNESS_TABLE: Final = (
    "CREATE TABLE witness "
    "(id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, noted_us INTEGER NOT NULL) STRICT"
)
_HOLDER_TABLE: Final = (
    "CREATE TABLE holder (incarnation BLOB PRIMARY KEY, revision INTEGER NOT NULL, "
    "until_us INTEGER NOT NULL, has_lifetime INTEGER NOT NULL, number INTEGER NOT NULL) STRICT"
)
_SCHEMA: Final = (
    _WITNESS_TABLE,
    _HOLDER_TABLE,
    f"PRAGMA application_id = {_APPLICATION_ID}",
    f"PRAGMA user_version = {_VERSION}",
)
_FROM_1: Final = (
    "ALTER TABLE holder ADD COLUMN number INTEGER NOT NULL DEFAULT 0",
    f"PRAGMA user_version = {_VERSION}",
)
_SEE: Final = (
    "INSERT INTO witness VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET "
    "revision = max(revision, excluded.revision), noted_us = max(noted_us, excluded.noted_us)"
)
_HOLD: Final = (
    "INSERT INTO holder VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET "
    "revision = max(revision, excluded.revision), until_us = max(until_us, excluded.until_us), "
    "has_lifetime = max(has_lifetime, excluded.has_lifetime), "
    "number = max(number, excluded.number)"
)
_FORGET: Final = (
    "DELETE FROM holder "
    "WHERE incarnation = ? AND revision = ? AND until_us = ? AND has_lifetime = ? AND number = ?"
)

_UNREADABLE: Final = (
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_ERROR,  # of a file that has lost its tables
)


class WitnessFile:
    """A file, open. Not for threads side by side; raises `sqlite3.Error`."""

    def __init__(self, path: Path) -> None:
        """Open a file, or make one. Raises `StoreRefused` for one that is not ours."""
        self._path = path
        self._held = HeldFiles()
        keep_private(path)
        self.connection = self._opened()
        keep_private(path)
        self._held.hold(path)

    def lost(self) -> str:
        """That the file is no longer where it was opened, in words for people; or empty."""
        return self._held.lost()

    def read(self) -> Witnessed | None:
        """All that it has seen; `None` where it is new."""
        row = self.connection.execute("SELECT revision, noted_us FROM witness").fetchone()
        if row is None:
            return None
        revision, noted_us = row
        rows = self.connection.execute(
            "SELECT incarnation, revision, until_us, has_lifetime, number FROM holder"
        )
        holders = {
            codec.incarnation_text(column): WitnessedHolder(
                granted, until_us, bool(lifetime), number
            )
            for column, granted, until_us, lifetime, number in rows
        }
        return Witnessed(revision, noted_us, holders)

    @contextmanager
    def changing(self) -> Iterator[None]:
        """A transaction, on disk when the block ends."""
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield
            self.connection.execute("COMMIT")
        except BaseException:
            self.connection.rollback()
            raise

    def revision(self) -> int:
        """Of leases, as it has seen it; 0 where it is new."""
        (revision,) = self.connection.execute("SELECT max(revision) FROM witness").fetchone()
        return revision or 0

    def see(self, seen: Witnessed) -> None:
        """See something more; within `changing`."""
        self.connection.execute(_SEE, (seen.revision, seen.noted_us))
        self.connection.executemany(_HOLD, map(_columns, seen.holders.items()))

    def forget(self, incarnations: Mapping[str, WitnessedHolder]) -> None:
        """Forget holders that nothing was granted to since; within `changing`."""
        self.connection.executemany(_FORGET, map(_columns, incarnations.items()))

    def close(self) -> None:
        """Close it."""
        self.connection.close()

    def _opened(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            self._make_tables(connection)  # first, since it refuses what is not ours
            connection.execute("PRAGMA journal_mode = TRUNCATE")
            with closing(connection.execute("PRAGMA quick_check(1)")) as checked:
                found = checked.fetchone()
            if found != ("ok",):
                raise sqlite3.DatabaseError(str(found))
        except BaseException:
            connection.close()
            raise
        return connection

    def _make_tables(self, connection: sqlite3.Connection) -> None:
        stamp = (_APPLICATION_ID, _VERSION)
        if _stamp(connection) == stamp:
            return  # without a write: on a full disk there may be no room for one
        connection.execute("BEGIN IMMEDIATE")
        try:
            found = _stamp(connection)
            if found == (0, 0) and not _has_tables(connection):
                for statement in _SCHEMA:
                    connection.execute(statement)
            elif found == (_APPLICATION_ID, 1):
                for statement in _FROM_1:
                    connection.execute(statement)
            elif found != stamp:
                raise StoreRefused(
                    f"{self._path}: is no witness of leases, or a newer tallyd wrote it"
                )
            connection.execute("COMMIT")
        except BaseException:
            connection.rollback()
            raise


def _columns(item: tuple[str, WitnessedHolder]) -> tuple[bytes, int, int, bool, int]:
    incarnation, holder = item
    column = codec.incarnation_column(incarnation)
    return column, holder.revision, holder.until_us, holder.has_lifetime, holder.number


def _stamp(connection: sqlite3.Connection) -> tuple[int, int]:
    (application_id,) = connection.execute("PRAGMA application_id").fetchone()
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return application_id, version


def _has_tables(connection: sqlite3.Connection) -> bool:
    return bool(connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0])


def is_unreadable(error: sqlite3.Error) -> bool:
    """Whether a file is no database any more, or a damaged one."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_CORRUPT)  # none: of `quick_check`
    return is_damage(error) or code in _UNREADABLE
