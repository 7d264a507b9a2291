"""Room on the disk for a file that is written through a memory map.

The first write to a page of a map that has no block on the disk takes one, and where none is left
the process is killed (SIGBUS). So blocks are allocated ahead, where an error can be handled. Not
every file system keeps what it says then: one that copies on write needs a new block for a page
that is written again, and so does one on which files can share blocks, as XFS does once somebody
copies the file. Therefore those are named that do keep it, as tried on full disks.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

_KEEPING: Final = frozenset({"ext4", "tmpfs"})
_LAYERED: Final = "overlay"
_MOUNTS: Final = Path("/proc/self/mountinfo")

_KEEP_SIZE: Final = 0x01
_GET_FLAGS: Final = 0x80086601
_EXTENTS: Final = 0x80000
"""A flag of files that only ext4 has, and that can be seen through the layers of an overlay."""
_ATTEMPTS_MAX: Final = 100
"""Of an allocation that signals interrupt."""


class FileRoom:
    """Allocates the blocks of one file. Any thread may, also while another closes it."""

    def __init__(self, file: Path) -> None:
        """Open the file, or create an empty one. Raises `OSError`."""
        self._fd = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        self.file = file
        self._lock = threading.Lock()

    def is_kept(self) -> bool:
        """Whether writing to blocks that were allocated cannot fail for want of room."""
        kind = _file_system(self.file.parent) if _fallocate is not None else ""
        return kind in _KEEPING or (kind == _LAYERED and self._has_extents())

    def size_bytes(self) -> int:
        """Where the file ends."""
        return os.fstat(self._fd).st_size

    def free_bytes(self) -> int:
        """Bytes that the disk has left, as far as it tells."""
        disk = os.fstatvfs(self._fd)
        return disk.f_bavail * disk.f_frsize

    def allocate(self, end: int, *, start: int = 0, keep_size: bool = False) -> None:
        """Give every page of a range its block; what is there stays as it is.

        The file ends at `end` at least, unless `keep_size`. Raises `OSError`, for want of room with
        ENOSPC, EDQUOT or EFBIG.
        """
        self._allocate(_KEEP_SIZE if keep_size else 0, start, end)

    def close(self) -> None:
        """Let go of it; what was allocated stays."""
        with self._lock:
            os.close(self._fd)
            self._fd = -1

    def _allocate(self, mode: int, start: int, end: int) -> None:
        assert 0 <= start < end
        assert _fallocate is not None
        number = errno.EINTR
        attempts = 0
        while number == errno.EINTR and attempts < _ATTEMPTS_MAX:
            attempts += 1
            with self._lock:
                if _fallocate(self._fd, mode, start, end - start) == 0:
                    return
            number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(self.file))

    def _has_extents(self) -> bool:
        flags = bytearray(struct.calcsize("L"))
        try:
            fcntl.ioctl(self._fd, _GET_FLAGS, flags)
        except OSError:
            return False
        return bool(int.from_bytes(flags, sys.byteorder) & _EXTENTS)


def _file_system(folder: Path) -> str:
    """The type of the file system that a folder is on; empty where it cannot be told."""
    device = folder.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    try:
        mounts = _MOUNTS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in mounts.splitlines():
        mount, _, kind = line.partition(" - ")
        if mount.split(" ", 3)[2:3] == [number]:
            return kind.partition(" ")[0]
    return ""


def _system_call() -> Callable[[int, int, int, int], int] | None:
    """fallocate(2), which `os.posix_fallocate` stands before with an emulation by writing."""
    call = getattr(ctypes.CDLL(None, use_errno=True), "fallocate", None)
    if call is None:
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64)
    call.restype = ctypes.c_int
    return call  # type: ignore[no-any-return]


_fallocate: Final = _system_call()
