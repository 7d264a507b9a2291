"""Letting go of a large map bit by bit.

Unmapping takes time for each page that is mapped, a tenth of a second for a GiB, and whoever maps a
file anew waits for all of it. What was let go of before costs nothing then; a page that is needed
meanwhile is mapped again when it is touched. Nothing is lost: the file's pages are the system's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_SLICE_BYTES: Final = 4 << 20
"""A quarter of a millisecond's work."""
_MAPS: Final = Path("/proc/self/maps")
_SHARED: Final = "rw-s"
_DONTNEED: Final = 4


def unmap_by_slices(file: Path) -> Iterator[None]:
    """Let go of the pages of this process's map of a file, a slice with each step.

    The map must stay where it is until the last step. Where it cannot be found there is none.
    """
    found = _map_of(file)
    if found is None:
        return
    start, stop = found
    for address in range(start, stop, _SLICE_BYTES):
        # Only a shared map of a file may be told so: others lose what is in them.
        _madvise(address, min(_SLICE_BYTES, stop - address), _DONTNEED)
        yield


def _map_of(file: Path) -> tuple[int, int] | None:
    """Where a file's shared map starts and stops in this process."""
    name = str(file.resolve())
    try:
        maps = _MAPS.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    for line in maps.splitlines():
        place, mode, *_, path = line.split(maxsplit=5)
        if path == name and mode == _SHARED:
            start, _, stop = place.partition("-")
            return int(start, 16), int(stop, 16)
    return None


_madvise: Final = ctypes.CDLL(None).madvise
_madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
_madvise.restype = ctypes.c_int
