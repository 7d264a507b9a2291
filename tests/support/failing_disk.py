"""A disk that fails under a daemon when a test says so: full, broken, or ending the process.

A small library (`failing_disk.c`), compiled here and preloaded into the daemon, stands before the
calls that change files below a folder. It needs a C compiler and Linux; without, the test skips.
"""

from __future__ import annotations

import ctypes
import errno
import mmap
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import pytest

from tests.support.bounds import HANG_SECONDS_MAX

WRITES: Final = 1
SYNCS: Final = 2
ALLOCATIONS: Final = 4
ALL: Final = WRITES | SYNCS | ALLOCATIONS

FULL: Final = (errno.ENOSPC, errno.EDQUOT)
BROKEN: Final = errno.EIO

_SOURCE: Final = Path(__file__).with_suffix(".c")


class _Control(ctypes.Structure):
    """As `struct control` of the library."""

    _fields_ = (
        ("error", ctypes.c_int32),
        ("kinds", ctypes.c_int32),
        ("per_thousand", ctypes.c_int32),
        ("short_per_thousand", ctypes.c_int32),
        ("kill_at", ctypes.c_int32),
        ("seed", ctypes.c_int32),
        ("cannot_allocate", ctypes.c_int32),
        ("unused", ctypes.c_int32),
        ("calls", ctypes.c_int64),
        ("failed", ctypes.c_int64),
    )


class FailingDisk:
    """The disk under `below`, for the daemons that get `environment`. Whole until it is told.

    `folder` takes the library and the file by which it is told. `allocates=False`: its file system
    keeps no room that is allocated, so that stores are not written through a map.
    """

    def __init__(self, folder: Path, below: Path, *, seed: int, allocates: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        below.mkdir(parents=True, exist_ok=True)
        library, told = folder / "failing_disk.so", folder / "control"
        _compile(library)
        told.write_bytes(bytes(ctypes.sizeof(_Control)))
        with open(told, "r+b") as opened:
            self._map = mmap.mmap(opened.fileno(), 0)
        self._control = _Control.from_buffer(self._map)
        self._control.seed = seed & 0x7FFFFFFF
        self._control.cannot_allocate = not allocates
        self.environment: Mapping[str, str] = {
            "LD_PRELOAD": str(library),
            "FAILING_DISK_FOLDER": str(below),
            "FAILING_DISK_CONTROL": str(told),
        }

    @property
    def calls(self) -> int:
        """How many calls it has met."""
        return int(self._control.calls)

    @property
    def failed(self) -> int:
        """How many of them failed, or wrote a part only."""
        return int(self._control.failed)

    def fail(self, error: int, *, kinds: int = ALL, per_thousand: int = 1_000) -> None:
        """Fail with an error number, from now on."""
        control = self._control
        control.kinds, control.per_thousand, control.error = kinds, per_thousand, error

    def write_short(self, per_thousand: int) -> None:
        """Take only a part of what is written, now and then."""
        self._control.short_per_thousand = per_thousand

    def kill_at(self, call: int) -> None:
        """Kill the process in this call from now, 1 for the next; a write is cut at some page."""
        self._control.kill_at = call

    def mend(self) -> None:
        """Be whole again."""
        control = self._control
        control.error = control.short_per_thousand = control.kill_at = 0


def _compile(library: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the library that fails is for Linux")
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("there is no C compiler")
    command = [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", str(library)]
    done = subprocess.run(
        [*command, str(_SOURCE), "-ldl"],
        capture_output=True,
        text=True,
        check=False,
        timeout=HANG_SECONDS_MAX,
    )
    assert 0 == done.returncode, done.stderr
