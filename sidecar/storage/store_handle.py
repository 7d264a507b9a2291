"""Opening a store's folder: one owner, files that verify, and what the last owner left behind.

| file         | what it is                                                            |
|--------------|-----------------------------------------------------------------------|
| `owner.lock` | locked by the process that has the store open                         |
| `in-use`     | the boot of the machine under which it was opened; `not-in-use` when   |
|              | closed: kept, since on a full disk no new one could be written         |
| `data.mdb`   | the store                                                              |
| `damaged-*`  | stores that did not verify, set aside for a look                       |
"""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import uuid
from pathlib import Path
from typing import Final

import lmdb
import structlog

from sidecar.shared.held_files import HeldFiles
from sidecar.shared.private_files import keep_folder_private
from sidecar.storage.lmdb_engine import OwnerLock, StoreDamaged
from sidecar.storage.mapped_engine import open_engine
from sidecar.storage.store import Store, open_store
from sidecar.storage.verification import is_cut_short, verifies

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_IN_USE: Final = "in-use"
_NOT_IN_USE: Final = "not-in-use"
_DAMAGED: Final = "damaged-"
_FILES: Final = frozenset({"owner.lock", _IN_USE, _NOT_IN_USE, "data.mdb"})

_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
)

log = structlog.get_logger(__name__)


class StoreHandle:
    """A store on disk that this process owns, until `close`."""

    def __init__(self, store: Store, lock: OwnerLock, folder: Path) -> None:
        self.store = store
        self._lock = lock
        self._folder = folder
        self._held = HeldFiles()
        for path in (folder, folder / "owner.lock", folder / "data.mdb"):
            self._held.hold(path)

    def lost(self) -> str:
        """What of the store was deleted or replaced, in words; empty where all is in its place."""
        return self._held.lost()

    def close(self) -> None:
        """Let go of the store, in order. What stands in its place by now stays as it is."""
        self.store.close()
        if not self.lost():
            with contextlib.suppress(FileNotFoundError):
                (self._folder / _IN_USE).rename(self._folder / _NOT_IN_USE)
        self._lock.release()


def open_folder(
    folder: Path, *, max_bytes: int, sync_commits: bool, outbox_records_max: int
) -> StoreHandle:
    """Open the store in a folder, or start one.

    Raises `StoreInUse`, `StoreFormatError`, and `OSError` where the folder cannot be used. A store
    that does not verify is set aside, and a new one is started: what had been sent is safe with the
    control plane, what waited in the outbox is in the damaged file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = OwnerLock(folder)
    try:
        keep_folder_private(folder, _is_ours)
        boot = _boot_id()
        left_by = _boot_in(folder / _IN_USE)
        power_lost = left_by not in (None, boot)
        data = folder / "data.mdb"
        if (power_lost or is_cut_short(data)) and not verifies(data):
            _set_aside(folder)
            power_lost = False
        try:
            store = _open(folder, max_bytes, sync_commits, outbox_records_max, power_lost)
        except StoreDamaged as error:
            log.error("store.damaged", error=str(error))
            _set_aside(folder)
            store = _open(folder, max_bytes, sync_commits, outbox_records_max, False)
        try:
            # Only now: an opening that fails must leave the traces of a loss of power as they are.
            if left_by != boot:
                _mark_in_use(folder, boot)
        except BaseException:
            store.close()
            raise
    except BaseException:
        lock.release()
        raise
    return StoreHandle(store, lock, folder)


def _open(
    folder: Path, max_bytes: int, sync_commits: bool, outbox_records_max: int, power_lost: bool
) -> Store:
    try:
        engine = open_engine(folder, max_bytes, sync_commits=sync_commits)
        try:
            return open_store(
                engine,
                new_incarnation=new_incarnation,
                outbox_records_max=outbox_records_max,
                power_lost=power_lost,
            )
        except BaseException:
            engine.close()
            raise
    except _DAMAGE as error:
        raise StoreDamaged(str(error)) from error
    except lmdb.Error as error:
        raise OSError(f"cannot open the store in {folder}: {error}") from error


def new_incarnation() -> str:
    """A name for a life of a store that no other ever has."""
    return str(uuid.uuid4())


def _set_aside(folder: Path) -> None:
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = Path(tempfile.mkdtemp(prefix=f"{_DAMAGED}{moment}-", dir=folder))
    with contextlib.suppress(FileNotFoundError):
        (folder / "data.mdb").rename(aside / "data.mdb")
    log.error("store.set_aside", folder=str(aside))


def _mark_in_use(folder: Path, boot: str) -> None:
    """Say that the store is open, so that a loss of power does not take it back.

    A mark that is there is written over if it has to be, and renamed: that needs no room.
    """
    mark, spare = folder / _IN_USE, folder / _NOT_IN_USE
    present = mark if mark.exists() else spare
    if _boot_in(present) != boot:
        opened = os.open(present, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(opened, os.pwrite(opened, f"{boot}\n".encode("ascii"), 0))
            os.fsync(opened)
        finally:
            os.close(opened)
    if present == spare:
        spare.rename(mark)
    _sync(folder)


def _boot_in(mark: Path) -> str | None:
    """The boot that a mark names; `None` without one."""
    try:
        return mark.read_text().strip()
    except FileNotFoundError:
        return None


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)


def _is_ours(name: str) -> bool:
    return name in _FILES or name.startswith(_DAMAGED)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
