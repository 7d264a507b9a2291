"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

_PACKAGES = ("grpcio", "lmdb", "msgspec", "protobuf", "uvloop")


def facts(store_folder: Path) -> Mapping[str, object]:
    """Facts about this machine; none of them names it."""
    return {
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load_average_1m": round(os.getloadavg()[0], 2),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "store_file_system": file_system_of(store_folder),
        **{name: version(name) for name in _PACKAGES},
    }


def file_system_of(folder: Path) -> str:
    """Kind of the file system that a folder is on, such as ext4."""
    kinds: dict[str, str] = {}
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8").splitlines():
        _, place, kind, *_ = line.split()
        kinds[place] = kind  # the last one mounted on a place is the one that is seen
    places = map(str, (folder.absolute(), *folder.absolute().parents))
    return next((kinds[place] for place in places if place in kinds), "unknown")


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()
