"""Stores of a control plane that fail at a chosen moment, whatever is being done then."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, cast

from sidecar.control.storage.port import PlaneStore, ReadTransaction, WriteTransaction
from sidecar.control.storage.sqlite import SqliteStore
from tests.support.failing import Blown, Fuse


class FailingConnection:
    """A connection to SQLite that fails before a statement or a row of many, or behind it.

    `undoes`: the transaction is undone then, as SQLite itself does for some errors of a disk.
    """

    def __init__(self, inner: sqlite3.Connection, fuse: Fuse, *, undoes: bool = False) -> None:
        self.rollback = inner.rollback
        self.close = inner.close
        self.set_progress_handler = inner.set_progress_handler
        self._inner = inner
        self._fuse = fuse
        self._undoes = undoes

    def execute(self, sql: str, parameters: Any = ()) -> sqlite3.Cursor:
        self._burn()
        cursor = self._inner.execute(sql, parameters)
        try:
            self._burn()
        except sqlite3.Error:
            cursor.close()  # nobody has it, and until it is closed it holds on to what it read
            raise
        return cursor

    def executemany(self, sql: str, rows: Iterable[Any]) -> sqlite3.Cursor:
        return self._inner.executemany(sql, self._each(rows))

    def _each(self, rows: Iterable[Any]) -> Iterator[Any]:
        for row in rows:
            self._burn()
            yield row
        self._burn()

    def _burn(self) -> None:
        try:
            self._fuse.burn()
        except Blown as error:
            if self._undoes:
                self._inner.rollback()
            raise sqlite3.OperationalError(f"disk I/O error, {error}") from error


def failing_connection(
    inner: sqlite3.Connection, fuse: Fuse, *, undoes: bool = False
) -> sqlite3.Connection:
    """As much of a connection as the store on SQLite uses."""
    return cast("sqlite3.Connection", FailingConnection(inner, fuse, undoes=undoes))


class FailingSqliteStore(SqliteStore):
    """The store on SQLite, on connections that fail."""

    def __init__(self, path: str, fuse: Fuse) -> None:
        self._fuse = fuse
        super().__init__(path)

    def _connect(self) -> sqlite3.Connection:
        return failing_connection(super()._connect(), self._fuse)


class FailingStore:
    """Any store of the control plane: each question and each change is a moment, before and behind.

    So is the end of a transaction, when all is done but the commit.
    """

    def __init__(self, inner: PlaneStore, fuse: Fuse) -> None:
        self.lost = inner.lost
        self.close = inner.close
        self._inner = inner
        self._fuse = fuse

    @contextmanager
    def read(self) -> Iterator[ReadTransaction]:
        with self._inner.read() as transaction:
            yield cast("ReadTransaction", _FailingQuestions(transaction, self._fuse))
            self._fuse.burn()

    @contextmanager
    def write(self) -> Iterator[WriteTransaction]:
        with self._inner.write() as transaction:
            yield cast("WriteTransaction", _FailingQuestions(transaction, self._fuse))
            self._fuse.burn()


class _FailingQuestions:
    def __init__(self, inner: ReadTransaction, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def asked(*args: Any, **kwargs: Any) -> Any:
            self._fuse.burn()
            answer = method(*args, **kwargs)
            self._fuse.burn()
            return answer

        return asked
