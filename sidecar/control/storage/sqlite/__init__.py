"""The store on SQLite: one file, or memory."""

from sidecar.control.storage.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
