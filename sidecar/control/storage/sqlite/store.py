"""Connections and transactions of the store on SQLite."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite.marker import expect, require_expected, rescued_path
from sidecar.control.storage.sqlite.migrate import migrate
from sidecar.control.storage.sqlite.reads import SqliteReads
from sidecar.control.storage.sqlite.verification import damaged, is_damage, require_sound
from sidecar.control.storage.sqlite.writes import SqliteWrites
from sidecar.domain.errors import Unavailable
from sidecar.shared.held_files import HeldFiles
from sidecar.shared.private_files import keep_private

MEMORY: Final = ":memory:"

_BUSY_S: Final = 5.0
_READERS_MAX: Final = 8
_SWITCHES_MAX: Final = 100
_NEVER_CLOSED: Final[list[sqlite3.Connection]] = []


class SqliteStore:
    """A `PlaneStore` in a file, or in memory for as long as it lives.

    A file has one connection that writes and some that read, side by side thanks to the
    write-ahead log. A commit waits for the disk (`synchronous=FULL`). Several processes may share
    a file. In memory there is one connection for all.
    """

    def __init__(self, path: str | Path = MEMORY, *, begin_anew: bool = False) -> None:
        """Open a database, or make one where none was before.

        `begin_anew`: also where one was, and is missing or empty. Raises `StoreRefused`.
        """
        self._path = str(path)
        self._held = HeldFiles()
        self._damage = ""
        self._write_lock = threading.Lock()
        self._idle_readers: queue.LifoQueue[sqlite3.Connection] = queue.LifoQueue()
        self._reader_slots = threading.BoundedSemaphore(_READERS_MAX)
        if self._path != MEMORY:
            require_expected(Path(self._path), begin_anew=begin_anew)
        # Before, since SQLite gives the files beside it the mode of the database.
        self._keep_private()
        try:
            self._writer = self._connect()
        except sqlite3.Error as error:
            if is_damage(error):
                raise damaged(self._path, str(error)) from error
            raise StoreRefused(f"{self._path}: cannot be opened: {error}") from error
        try:
            require_sound(self._writer, self._path)
            # Next, since it refuses what is not ours: that is left as it is.
            migrate(self._writer, self._path)
            _switch_to_write_ahead_log(self._writer)
        except sqlite3.Error as error:
            self._writer.close()
            raise StoreRefused(f"{self._path}: cannot be used: {error}") from error
        except StoreRefused:
            self._writer.close()
            raise
        self._keep_private()
        self._take_hold()

    @contextmanager
    def read(self) -> Iterator[SqliteReads]:
        """One state of the store for as long as the block lasts."""
        if self._path == MEMORY:
            with self._write_lock, self._errors_translated():
                yield SqliteReads(self._writer)
            return
        with self._reader_slots, self._errors_translated():
            connection = self._reader()
            try:
                self._require_all_there()
                connection.execute("BEGIN")
                yield SqliteReads(connection)
            finally:
                connection.rollback()
                self._idle_readers.put(connection)

    @contextmanager
    def write(self) -> Iterator[SqliteWrites]:
        """A transaction that commits when the block ends, and rolls back on an exception."""
        with self._write_lock, self._errors_translated():
            try:
                self._writer.execute("BEGIN IMMEDIATE")
                yield SqliteWrites(self._writer)
                self._writer.execute("COMMIT")
                # What is committed to a file that nobody finds any more must not be acknowledged.
                self._require_all_there()
            except BaseException:
                self._writer.rollback()
                raise

    def lost(self) -> str:
        """What of the database's files was deleted, replaced or found damaged; or empty."""
        return self._held.lost() or self._damage

    def rescue(self) -> Path | None:
        """Write what is still open here to a file of its own, once the database is lost.

        The file; `None` where that is not possible, as on a full disk.
        """
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        rescued = rescued_path(Path(self._path), moment)
        unfinished = rescued.with_name(f"{rescued.name}.unfinished")
        try:
            with self._write_lock, closing(sqlite3.connect(unfinished)) as copy:
                self._writer.backup(copy)
            unfinished.rename(rescued)
        except (sqlite3.Error, OSError):
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            return None
        return rescued

    def close(self) -> None:
        """Close every connection.

        Where files were replaced they stay open: SQLite would delete, by its path, the log of what
        stands there by now. The process has to end without closing them (`os._exit`).
        """
        with self._write_lock:
            if self.lost():
                _NEVER_CLOSED.append(self._writer)
                while not self._idle_readers.empty():
                    _NEVER_CLOSED.append(self._idle_readers.get_nowait())
                return
            while not self._idle_readers.empty():
                self._idle_readers.get_nowait().close()
            self._writer.close()

    @contextmanager
    def _errors_translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            if is_damage(error):
                # What else is damaged shows at the next start, which goes through all of it.
                self._damage = f"{self._path} is damaged ({error})"
            raise Unavailable("", f"the ledger's database: {error}", "STORE_UNAVAILABLE") from error

    def _take_hold(self) -> None:
        if self._path == MEMORY:
            return
        # A look makes the files beside the database, which are there as long as a connection is.
        (epoch,) = self._writer.execute("SELECT epoch FROM meta").fetchone()
        expect(Path(self._path), epoch)
        for path in self._files():
            with suppress(FileNotFoundError):
                self._held.hold(path)

    def _require_all_there(self) -> None:
        if lost := self.lost():
            raise Unavailable("", f"the ledger's database: {lost}", "STORE_GONE")

    def _files(self) -> list[Path]:
        return [Path(self._path + suffix) for suffix in ("", "-wal", "-shm")]

    def _keep_private(self) -> None:
        if self._path != MEMORY:
            for path in self._files():
                keep_private(path)

    def _reader(self) -> sqlite3.Connection:
        try:
            return self._idle_readers.get_nowait()
        except queue.Empty:
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        # Transactions are begun by hand, and connections wander between threads, one at a time.
        connection = sqlite3.connect(
            self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
        )
        connection.execute("PRAGMA synchronous = FULL")
        return connection


def _switch_to_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Have the file written ahead, unless it is.

    SQLite does not wait where another process is about to do the same: it says at once that the
    file is locked. Whoever is first does it for all.
    """
    if connection.execute("PRAGMA journal_mode").fetchone() == ("wal",):
        return  # without a write: on a full disk there may be no room for one
    for attempt in range(_SWITCHES_MAX):
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            is_last = attempt == _SWITCHES_MAX - 1
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or is_last:
                raise
        else:
            return
        connection.execute("BEGIN IMMEDIATE")  # this waits
        connection.rollback()
