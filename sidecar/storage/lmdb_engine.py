"""The LMDB engine: opening a store's files with care.

Durability of a commit: `sync_commits=False` hands it to the operating system, which survives a
killed process; `True` waits for the disk. The 0.9 file format is named on purpose: it is the one
that other tools read. LMDB's own lock is not used: it tells processes apart by their ids, and two
containers that share a volume are both process 1; and its file is written through a map, which a
full disk may answer with SIGBUS. `OwnerLock` keeps others out, and one thread has the transactions.

This engine writes pages to the file when it commits; see `mapped_engine` for the one that writes
them where they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from itertools import islice
from pathlib import Path
from typing import Final

import lmdb

from sidecar.storage.bounded_scan import out_of_order
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.kv_engine import KvDamaged, KvEnded, KvFailure, KvFull, KvTransaction

RESERVE_BYTES: Final = 64 << 20
"""Room beyond the bound, so that what frees room (acknowledging, sweeping) never lacks it."""
_LMDB_FORMAT_0_9: Final = 0
_REFUSED_SECONDS: Final = 2.0
"""For so long after a full disk refused a commit there is room only for what fits the file."""
DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.CursorFullError,
    lmdb.IncompatibleError,
    lmdb.InvalidError,
    lmdb.PageFullError,
    lmdb.PageNotFoundError,
    lmdb.VersionMismatchError,
)
"""What LMDB raises where pages are not what it wrote."""


class StoreInUse(Exception):
    """Another process has the store open."""


class OwnerLock:
    """Holds `owner.lock` in the store's folder for as long as the process has the store open."""

    def __init__(self, folder: Path) -> None:
        self._fd = os.open(
            folder / "owner.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 20, 0).decode("ascii", "replace").strip() or "unknown"
            os.close(self._fd)
            raise StoreInUse(
                f"the store in {folder} is in use by another process (id {owner} as it sees itself)"
            ) from error
        # For people alone: a disk that is full must not keep the owner out.
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, os.pwrite(self._fd, b"%d\n" % os.getpid(), 0))

    def release(self) -> None:
        """Let another process have the store."""
        os.close(self._fd)


class LmdbEngine:
    """One LMDB environment with one key space."""

    failures: tuple[type[Exception], ...] = (lmdb.Error,)

    def __init__(self, folder: Path, max_bytes: int, *, sync_commits: bool) -> None:
        """Open or create the files in a folder.

        Raises `OSError` for want of room, `StoreDamaged`, or `lmdb.Error`.
        """
        self._max_bytes = max_bytes
        self._folder = folder
        self._refused_until = 0.0
        self._env = self._open(folder, max_bytes + RESERVE_BYTES, sync_commits=sync_commits)
        self._page_bytes = int(self._env.stat()["psize"])

    def _open(
        self, folder: Path, map_bytes: int, *, sync_commits: bool, writemap: bool = False
    ) -> lmdb.Environment:
        try:
            return lmdb.open(
                str(folder),
                map_size=map_bytes,
                sync=sync_commits,
                metasync=sync_commits,
                writemap=writemap,
                readahead=False,
                meminit=False,
                lock=False,
                mode=0o600,
                lib_version=_LMDB_FORMAT_0_9,
            )
        except DAMAGE as error:
            raise StoreDamaged(f"damage in the store: {error}") from error

    def begin(self) -> lmdb.Transaction[bytes]:
        return self._env.begin(write=True, buffers=False)

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        assert isinstance(transaction, lmdb.Transaction)
        found: list[tuple[bytes, bytes]] = []
        with transaction.cursor() as cursor:
            if not cursor.set_range(start):
                return found
            for key, value in cursor.iternext():
                if key >= stop or len(found) == most:
                    break
                found.append((key, value))
        return found

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        assert isinstance(transaction, lmdb.Transaction)
        with transaction.cursor() as cursor:
            at_or_behind = cursor.set_range(stop)
            found = cursor.prev() if at_or_behind else cursor.last()
            if not found or cursor.key() < start:
                return None
            return cursor.item()

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        assert isinstance(transaction, lmdb.Transaction)
        taken: list[tuple[bytes, bytes]] = []
        with transaction.cursor() as cursor:
            found: list[bytes] = []
            if cursor.set_range(start):
                found = [bytes(key) for key in islice(cursor.iternext(values=False), most)]
            # A search would miss them: they are gone to step by step, the last one first.
            for at in reversed(out_of_order(found)):
                is_there = cursor.set_range(start) and all(cursor.next() for _ in range(at))
                if not is_there or cursor.key() != found[at]:
                    break
                taken.append(cursor.item())
                cursor.delete()
        return taken

    def failure_of(self, error: Exception) -> KvFailure:
        if isinstance(error, lmdb.DiskError):
            self._refused_until = time.monotonic() + _REFUSED_SECONDS
        if isinstance(error, lmdb.MapFullError | lmdb.DiskError | lmdb.TxnFullError):
            return KvFull(str(error))
        if isinstance(error, DAMAGE):
            return KvDamaged(str(error))
        if isinstance(error, lmdb.PanicError):
            # The page that says which pages hold could not be written; the one before holds.
            return KvEnded(str(error))
        return KvFailure(str(error))

    def used_bytes(self) -> int:
        stat = self._env.stat()
        pages = stat["branch_pages"] + stat["leaf_pages"] + stat["overflow_pages"]
        return int(pages) * self._page_bytes

    def max_bytes(self) -> int:
        return self._max_bytes

    def room_bytes(self) -> int:
        most = (self._env.info()["last_pgno"] + 1) * self._page_bytes
        if time.monotonic() >= self._refused_until:
            disk = os.statvfs(self._folder)
            most += disk.f_bavail * disk.f_frsize
        return max(0, min(most, self._max_bytes) - self.used_bytes())

    def is_short_of_room(self) -> bool:
        return False

    def allocate_ahead(self) -> bool:
        return False

    def prepare_room(self) -> bool:
        return False

    def make_room(self, *, urgent: bool = False) -> bool:
        return False

    def close(self) -> None:
        try:
            self._env.sync(True)
        except lmdb.Error as error:
            raise OSError(f"what was written may not be on disk: {error}") from error
        finally:
            self._env.close()
