"""The LMDB engine that writes to its file's map, where the pages are: half the time of a step.

The map never reaches beyond what is allocated on the disk (`preallocated_file`), so a transaction
that lacks room fails with an error, as LMDB itself sees it; a disk that is full kills nobody. Room
is made between transactions: ahead of need, and once more for a transaction that did not fit.

Not for commits that wait for the disk: syncing a map takes longer than syncing what was written.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import lmdb
import structlog

from sidecar.storage.kv_engine import KvFailure, KvShort
from sidecar.storage.lmdb_engine import RESERVE_BYTES, LmdbEngine
from sidecar.storage.preallocated_file import FileRoom
from sidecar.storage.unmapping import unmap_by_slices

_MIB: Final = 1 << 20
_STRIDE_BYTES_MIN: Final = 4 * _MIB
_STRIDE_BYTES_MAX: Final = 64 * _MIB
"""A file grows by a quarter, within these: small ones take little of a small disk, and large ones
are not mapped anew every few seconds."""
_FREE_SHARE: Final = 8
"""Of what is free on the disk, at most this part is taken ahead of need."""
_STRIDE_BYTES_LEAST: Final = _MIB // 4
_PAGE_BYTES_MAX: Final = 1 << 16
"""A multiple of every page's size."""
_KEPT_BYTES: Final = _MIB
"""On a full disk this much is left to what frees room."""
_LOOK_EVERY: Final = 16
"""Transactions between two looks at the room that is left, which take a microsecond."""
_FULL_SECONDS: Final = 0.25
"""Between two attempts to get room from a full disk."""

log = structlog.get_logger(__name__)


class MappedEngine(LmdbEngine):
    """One LMDB environment in the file of `room`, which it takes over."""

    def __init__(self, folder: Path, max_bytes: int, room: FileRoom) -> None:
        """Open or create the files in a folder.

        Raises `OSError` where what is stored cannot be allocated, `StoreDamaged`, or `lmdb.Error`.
        """
        self._max_bytes = max_bytes
        self._end_bytes_max = _rounded(max_bytes + RESERVE_BYTES)
        self._room = room
        self._end_bytes = _allocated(room)
        self._unmapping: Iterator[None] | None = None
        self._begins_to_look = 0
        self._is_full = False
        self._full_until = 0.0
        self._env = self._open(folder, self._end_bytes, sync_commits=False, writemap=True)
        self._page_bytes = int(self._env.stat()["psize"])
        self._allocate_all()

    def _allocate_all(self) -> None:
        """Allocate the whole map, which LMDB has made longer than asked where the file is."""
        self._end_bytes = int(self._env.info()["map_size"])
        try:
            self._room.allocate(self._end_bytes)
        except OSError:
            self._env.close()
            raise

    def begin(self) -> lmdb.Transaction[bytes]:
        self._begins_to_look -= 1
        if self._begins_to_look < 0:
            self._look()
        return self._env.begin(write=True, buffers=False)

    def failure_of(self, error: Exception) -> KvFailure:
        if isinstance(error, lmdb.MapFullError):
            return KvShort(str(error))
        return super().failure_of(error)

    def room_bytes(self) -> int:
        used_bytes = self.used_bytes()
        most = self._max_bytes
        if self._is_full:
            most = min(most, self._end_bytes - _KEPT_BYTES)
        return max(0, most - used_bytes)

    def is_short_of_room(self) -> bool:
        if self._end_bytes >= self._end_bytes_max:
            return False
        if self._is_full:
            return time.monotonic() >= self._full_until
        return self._ahead_bytes() < max(self._stride_bytes() // 2, 3 * _KEPT_BYTES)

    def allocate_ahead(self) -> bool:
        start = self._end_bytes
        try:
            end_bytes = min(start + self._stride_bytes(), self._end_bytes_max)
            self._room.allocate(end_bytes, start=start)
        except OSError as error:
            log.debug("store.cannot_allocate_ahead", error=str(error))
            return False
        return True

    def prepare_room(self) -> bool:
        if not self.is_short_of_room():
            return False
        if self._unmapping is None:
            self._unmapping = unmap_by_slices(self._room.file)
        return next(self._unmapping, self) is None

    def make_room(self, *, urgent: bool = False) -> bool:
        by_bytes = self._stride_bytes()
        if urgent:
            # Several times what was ahead: whatever did not fit does after few attempts.
            by_bytes = max(by_bytes, _rounded(3 * self._ahead_bytes()))
        return self._grow(by_bytes)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._room.close()

    def _look(self) -> None:
        """Make room before it lacks."""
        self._begins_to_look = _LOOK_EVERY
        if self._is_full:
            self._begins_to_look = 0
            if time.monotonic() >= self._full_until:
                self.make_room()
        elif self._ahead_bytes() < max(self._stride_bytes() // 8, 2 * _KEPT_BYTES):
            self.make_room()

    def _grow(self, by_bytes: int) -> bool:
        """Allocate and map more: so much, or what the disk still gives."""
        if self._end_bytes >= self._end_bytes_max:
            return False
        failure = ""
        while by_bytes >= _STRIDE_BYTES_LEAST:
            end_bytes = min(self._end_bytes + by_bytes, self._end_bytes_max)
            try:
                self._room.allocate(end_bytes, start=self._end_bytes)
            except OSError as error:
                failure = str(error)
                by_bytes = _rounded(by_bytes // 4)
                continue
            self._unmapping = None
            self._env.set_mapsize(end_bytes)
            self._end_bytes = end_bytes
            self._set_full(False, "")
            return True
        self._set_full(True, failure)
        return False

    def _set_full(self, is_full: bool, failure: str) -> None:
        """Take note of whether the disk is full, and tell once."""
        if is_full:
            self._full_until = time.monotonic() + _FULL_SECONDS
        if is_full and not self._is_full:
            log.warning("store.disk_full", error=failure, size_bytes=self._end_bytes)
        elif self._is_full and not is_full:
            log.info("store.disk_has_room", size_bytes=self._end_bytes)
        self._is_full = is_full

    def _ahead_bytes(self) -> int:
        """What is mapped behind the last page in use."""
        pages: int = self._env.info()["last_pgno"] + 1
        return self._end_bytes - pages * self._page_bytes

    def _stride_bytes(self) -> int:
        return _stride_bytes(self._room, self._end_bytes)


def open_engine(folder: Path, max_bytes: int, *, sync_commits: bool) -> LmdbEngine:
    """Open the engine that suits: mapped, unless commits wait for the disk or it cannot be.

    Raises `OSError` for want of room, `StoreDamaged`, or `lmdb.Error`.
    """
    if sync_commits:
        return LmdbEngine(folder, max_bytes, sync_commits=True)
    room = FileRoom(folder / "data.mdb")
    try:
        if room.is_kept():
            return MappedEngine(folder, max_bytes, room)
        reason = "the file system is not one that keeps room once it is allocated"
    except OSError as error:
        reason = str(error)
    except BaseException:
        room.close()
        raise
    room.close()
    log.warning("store.not_mapped", reason=reason)
    return LmdbEngine(folder, max_bytes, sync_commits=False)


def _allocated(room: FileRoom) -> int:
    """Allocate what the file holds, or the first stride of a new one; where that ends."""
    size_bytes = room.size_bytes()
    if size_bytes == 0:
        first_bytes = _stride_bytes(room, 0)
        # The size stays: LMDB takes only an empty file for a new one.
        room.allocate(first_bytes, keep_size=True)
        return first_bytes
    end_bytes = _rounded(size_bytes + _PAGE_BYTES_MAX - 1)
    room.allocate(end_bytes)
    return end_bytes


def _stride_bytes(room: FileRoom, end_bytes: int) -> int:
    """By how much a file of a size grows ahead of need."""
    wanted = min(max(end_bytes // 4, _STRIDE_BYTES_MIN), _STRIDE_BYTES_MAX)
    return max(_rounded(min(wanted, room.free_bytes() // _FREE_SHARE)), _STRIDE_BYTES_LEAST)


def _rounded(size_bytes: int) -> int:
    """Down to what is a whole number of pages, whatever their size."""
    return size_bytes - size_bytes % _PAGE_BYTES_MAX
