"""Opening a store's folder: one owner, files that verify, and what the last owner left behind.

| file         | what it is                                                            |
|--------------|-----------------------------------------------------------------------|
| `owner.lock` | locked by the process that has the store open                         |
| `in-use`     | the boot of the machine under which it was opened; gone when closed    |
| `data.mdb`   | the store; `lock.mdb` belongs to it                                    |
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

import lmdb.verify
import structlog

from sidecar.storage.lmdb_engine import OwnerLock, StoreDamaged
from sidecar.storage.mapped_engine import open_engine
from sidecar.storage.store import Store, open_store

_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")

_PROBLEMS_LOGGED_MAX: Final = 5

_DAMAGE: Final = (
    lmdb.CorruptedError,
    lmdb.InvalidError,
    lmdb.PageNotFoundError,
    lmdb.PanicError,
)

log = structlog.get_logger(__name__)


class OpenStore:
    """A store on disk that this process owns, until `close`."""

    def __init__(self, store: Store, lock: OwnerLock, in_use: Path) -> None:
        self.store = store
        self._lock = lock
        self._in_use = in_use

    def close(self) -> None:
        """Let go of the store, in order."""
        self.store.close()
        self._in_use.unlink(missing_ok=True)
        self._lock.release()


def open_folder(
    folder: Path, *, max_bytes: int, sync_commits: bool, outbox_records_max: int
) -> OpenStore:
    """Open the store in a folder, or start one.

    Raises `StoreInUse`, `StoreFormatError`, and `OSError` where the folder cannot be used. A store
    that does not verify is set aside, and a new one is started: what had been sent is safe with the
    control plane, what waited in the outbox is in the damaged file.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock = OwnerLock(folder)
    try:
        in_use = folder / "in-use"
        boot = _boot_id()
        power_lost = in_use.exists() and in_use.read_text().strip() != boot
        if power_lost and not _verifies(folder / "data.mdb"):
            _set_aside(folder)
            power_lost = False
        try:
            store = _open(folder, max_bytes, sync_commits, outbox_records_max, power_lost)
        except StoreDamaged as error:
            log.error("store.damaged", error=str(error))
            _set_aside(folder)
            store = _open(folder, max_bytes, sync_commits, outbox_records_max, False)
        # Only now: an opening that fails must leave the traces of a loss of power as they are.
        _write_durably(in_use, f"{boot}\n")
    except BaseException:
        lock.release()
        raise
    return OpenStore(store, lock, in_use)


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


def _verifies(data: Path) -> bool:
    if not data.exists():
        return True
    try:
        problems = lmdb.verify.verify(str(data))  # type: ignore[no-untyped-call]
    except lmdb.verify.VerifyError as error:
        problems = [str(error)]
    if problems:
        log.error("store.does_not_verify", problems=problems[:_PROBLEMS_LOGGED_MAX])
    return not problems


def _set_aside(folder: Path) -> None:
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = Path(tempfile.mkdtemp(prefix=f"damaged-{moment}-", dir=folder))
    for name in ("data.mdb", "lock.mdb"):
        with contextlib.suppress(FileNotFoundError):
            (folder / name).rename(aside / name)
    log.error("store.set_aside", folder=str(aside))


def _write_durably(file: Path, text: str) -> None:
    """Write a file that a loss of power does not take back."""
    with open(file, "w", encoding="ascii") as opened:
        opened.write(text)
        opened.flush()
        os.fsync(opened.fileno())
    folder = os.open(file.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return "unknown"
