"""A file beside the database that says that there is one: who deletes it begins nothing new."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import structlog

from sidecar.control.errors import StoreRefused
from sidecar.shared.private_files import keep_private

SUFFIX: Final = ".expected"

log = structlog.get_logger(__name__)


def require_expected(path: Path, *, begin_anew: bool) -> None:
    """Raise `StoreRefused` where a database was and is none, unless one is to begin anew."""
    marker = _marker_of(path)
    # In this order: who makes a database writes its marker last.
    if not marker.exists() or not _is_empty(path):
        return
    if not begin_anew:
        rescued = max(path.parent.glob(rescued_path(path, "*Z").name), default=None)
        where = f"from {rescued.name}, which was written as it went" if rescued else "from a backup"
        raise StoreRefused(
            f"{path}: a database was here and is missing or empty ({marker.name} tells). Restore "
            f"it {where}; or begin with an empty one by --database-missing=begin_anew: usage "
            "that only this database had is then lost, and `tallyd reconcile` shows it"
        )
    log.warning("control.database_begun_anew", database=str(path))


def expect(path: Path, epoch: str) -> None:
    """Say from now on that there is a database. `epoch`: of its state, for people."""
    marker = _marker_of(path)
    keep_private(marker)
    try:
        if marker.exists() and marker.read_text().strip() == epoch:
            return  # without a write: on a full disk there may be no room for one
        opened = os.open(marker, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(opened, os.pwrite(opened, f"{epoch}\n".encode(), 0))
            os.fsync(opened)
        finally:
            os.close(opened)
    except OSError as error:
        # The database itself is there; only its loss would not be noticed.
        log.warning("control.database_not_marked", marker=str(marker), error=str(error))


def rescued_path(path: Path, moment: str) -> Path:
    """Where a process writes what it has still open of a database that was deleted under it."""
    return path.with_name(f"{path.name}.rescued-{moment}")


def _marker_of(path: Path) -> Path:
    return path.with_name(path.name + SUFFIX)


def _is_empty(path: Path) -> bool:
    try:
        return path.stat().st_size == 0
    except FileNotFoundError:
        return True
