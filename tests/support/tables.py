"""What a database of a control plane holds, row by row."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

from sidecar.control.storage.port import PlaneStore
from sidecar.control.storage.sqlite.reads import SqliteReads

Row: TypeAlias = tuple[Any, ...]
Rows: TypeAlias = Mapping[str, Sequence[Row]]
"""Rows of each table, in order; the first one names the columns."""


def rows_of(connection: sqlite3.Connection, *but: str) -> Rows:
    """All rows, without some columns."""
    tables = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name"
    ).fetchall()
    return {table: _rows(connection, table, but) for (table,) in tables}


def contents(store: PlaneStore) -> Rows:
    """All that a store holds but for the epoch, which no two stores share."""
    with store.read() as transaction:
        assert isinstance(transaction, SqliteReads)
        return rows_of(transaction._connection, "epoch")


def _rows(connection: sqlite3.Connection, table: str, but: Sequence[str]) -> list[Row]:
    found = connection.execute("SELECT name FROM pragma_table_info(?)", (table,)).fetchall()
    columns = tuple(column for (column,) in found if column not in but)
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()
    return [columns, *sorted(rows, key=repr)]
