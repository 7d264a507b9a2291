"""The plane's database in memory: begun from an image, copied as one, and deadly at its commits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from sidecar.control.storage.sqlite import SqliteStore
from sidecar.control.storage.sqlite.writes import SqliteWrites
from tests.simulation.leases.disks import KillSwitch


class PlaneDatabase(SqliteStore):
    """A store on SQLite. `written` is told of each commit, before anybody else knows of it."""

    def __init__(self, image: bytes = b"", written: Callable[[], None] = lambda: None) -> None:
        self.kill = KillSwitch()
        self._image = image
        self._told = written
        super().__init__()

    @contextmanager
    def write(self) -> Iterator[SqliteWrites]:
        """A transaction that commits when the block ends, and may end the plane around that."""
        with super().write() as transaction:
            yield transaction
            self.kill.committing()
        self._told()
        self.kill.committed()

    def image(self) -> bytes:
        """All of it, to begin another with."""
        return self._writer.serialize()

    def rows(self, question: str, *values: object) -> list[tuple[Any, ...]]:
        """What the tables themselves say, for those who check them."""
        return self._writer.execute(question, values).fetchall()

    def _connect(self) -> sqlite3.Connection:
        connection = super()._connect()
        if self._image:
            connection.deserialize(self._image)
        return connection


@cache
def empty_image() -> bytes:
    """A database without anything in it: migrations take longer than most runs."""
    store = PlaneDatabase()
    try:
        return store.image()
    finally:
        store.close()
