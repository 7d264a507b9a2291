"""The witness of leases in a small SQLite file beside the database, `<database>.leases`.

Without a write-ahead log: between two changes the one file is all of it, whoever copies or moves
it. (Its journal, which is beside it, is empty then.) What was seen is kept in memory, too: a file
that is deleted, replaced or overwritten under a running plane is written anew in whole.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final, TypeVar

import structlog

from sidecar.control.errors import StoreRefused
from sidecar.control.storage.sqlite.witness_file import WitnessFile, is_unreadable
from sidecar.control.storage.witness_port import NOTHING_SEEN, Witnessed, WitnessedHolder
from sidecar.domain.errors import Unavailable

SUFFIX: Final = ".leases"

T = TypeVar("T")

_log = structlog.get_logger(__name__)


class SqliteWitness:
    """A `LeaseWitness` in a file. Several processes may share it."""

    def __init__(self, path: Path) -> None:
        """Open a witness, or make one. One that is damaged is set aside, and a new one made.

        Raises `StoreRefused` for a file of another program or of a newer version.
        """
        self.rewrites = 0
        self._path = path
        self._lock = threading.Lock()
        self._unwritten = NOTHING_SEEN
        self._holders: dict[str, WitnessedHolder] = {}
        self._revision, self._noted_us = 0, 0
        try:
            self._file = self._opened()
            self._remember(self._file.read())
        except (sqlite3.Error, OSError) as error:
            raise StoreRefused(f"{path}: cannot be opened: {error}") from error

    def read(self) -> Witnessed | None:
        """All that it has seen; `None` where it is new."""
        with self._used():
            seen = self._tried(self._read)
            self._remember(seen)
        return seen

    def note(self, seen: Witnessed) -> None:
        """See something more, which is on disk once this returns."""
        with self._lock:
            if seen is not NOTHING_SEEN:
                self._unwritten = self._unwritten.joined(seen)
        with self._used():
            unwritten = self._unwritten
            if unwritten is NOTHING_SEEN:
                return
            self._tried(lambda: self._changed(lambda file: file.see(unwritten)))
            self._remember(unwritten)
            self._unwritten = NOTHING_SEEN

    def forget(self, incarnations: Mapping[str, WitnessedHolder]) -> None:
        """Forget holders that nothing was granted to since they were as given here."""
        if not incarnations:
            return
        with self._used():
            self._tried(lambda: self._changed(lambda file: file.forget(incarnations)))
            for incarnation, holder in incarnations.items():
                if self._holders.get(incarnation) == holder:
                    del self._holders[incarnation]

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()

    @contextmanager
    def _used(self) -> Iterator[None]:
        """The file, where it belongs; `Unavailable` where it cannot be used."""
        with self._lock:
            try:
                if lost := self._file.lost():
                    self._write_anew(lost)
                yield
            except (sqlite3.Error, OSError, StoreRefused) as error:
                message = f"the witness of leases: {error}"
                raise Unavailable("", message, "STORE_UNAVAILABLE") from error

    def _tried(self, work: Callable[[], T]) -> T:
        """Work on the file; on one that is written anew where this one cannot be read any more."""
        try:
            return work()
        except sqlite3.Error as error:
            if not is_unreadable(error):
                raise
            self._write_anew(str(error))
            return work()

    def _changed(self, change: Callable[[WitnessFile], None]) -> None:
        """Change the file; what it knew and does not know any more is written again before."""
        with self._file.changing():
            is_older = self._file.revision() < self._revision
            if is_older:
                self._file.see(self._seen())
            change(self._file)
        if is_older:
            self._tell_rewritten("was overwritten by an older one")

    def _read(self) -> Witnessed | None:
        return self._file.read()

    def _write_anew(self, problem: str) -> None:
        """Write all that was seen to the path, and to what stands there by now if that is ours."""
        with suppress(sqlite3.Error):
            self._remember(self._file.read())  # of other processes, too
        anew = self._opened()
        try:
            if self._noted_us:
                with anew.changing():
                    anew.see(self._seen())
        except BaseException:
            anew.close()
            raise
        self._file, before = anew, self._file
        before.close()
        self._tell_rewritten(problem)

    def _tell_rewritten(self, problem: str) -> None:
        self.rewrites += 1
        _log.error("control.lease_witness_rewritten", file=str(self._path), problem=problem)

    def _seen(self) -> Witnessed:
        return Witnessed(self._revision, self._noted_us, self._holders)

    def _remember(self, seen: Witnessed | None) -> None:
        """Keep what is on disk in memory as well."""
        if seen is None:
            return
        self._revision = max(self._revision, seen.revision)
        self._noted_us = max(self._noted_us, seen.noted_us)
        for incarnation, holder in seen.holders.items():
            self._holders[incarnation] = holder.joined(self._holders.get(incarnation))

    def _opened(self) -> WitnessFile:
        try:
            return WitnessFile(self._path)
        except sqlite3.Error as error:
            if not is_unreadable(error):
                raise
            self._set_aside(str(error))
            return WitnessFile(self._path)

    def _set_aside(self, problem: str) -> None:
        aside = self._path.with_name(f"{self._path.name}.damaged")
        _log.error("control.lease_witness_damaged", file=str(aside), problem=problem)
        try:
            self._path.replace(aside)
        except OSError as error:
            raise StoreRefused(f"{self._path}: is damaged, and stays: {error}") from error
        with suppress(OSError):
            self._path.with_name(f"{self._path.name}-journal").unlink(missing_ok=True)


def witness_path(database: Path) -> Path:
    """Where the witness of a database stands."""
    return database.with_name(database.name + SUFFIX)
