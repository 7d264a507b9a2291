"""Where a store was when it was last looked at: whether it is the same one still.

A copy of a folder, a volume that was restored or is mounted on another machine, a file that was put
back: each of them holds what its original holds, and knows nothing of what that has done since.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Final

import msgspec

from sidecar.shared.wall_clock import boot_id
from sidecar.storage.verification import last_transaction

SEALS: Final = ("seal-1", "seal-2")


class StorePlace(msgspec.Struct, frozen=True):
    """A store's file, under a boot of the machine, after a transaction of LMDB's on it.

    `seal`: number of its seal, from 1 on; 0 for none, as programs of before noted it. `sealed_ns`:
    when that was last changed, in nanoseconds since the Unix epoch; 0 where it is not there.
    """

    boot: str
    device: int
    inode: int
    transaction: int
    seal: Annotated[int, msgspec.Meta(ge=0, le=len(SEALS))] = 0
    sealed_ns: int = 0


def place_of(data: Path, seal: int = 0) -> StorePlace | None:
    """Where a store's file is now, by a seal of a number; `None` where there is no file."""
    try:
        facts = data.stat()
    except FileNotFoundError:
        return None
    sealed_ns = _sealed_ns(data.parent, seal) if seal else 0
    transaction = last_transaction(data)
    return StorePlace(boot_id(), facts.st_dev, facts.st_ino, transaction, seal, sealed_ns)


def with_new_seal(folder: Path, place: StorePlace, noted: StorePlace | None) -> StorePlace:
    """A place with a seal of its own, beside that of the one `noted` so far. Raises `OSError`."""
    seal = 2 if noted is not None and noted.seal == 1 else 1
    path = folder / SEALS[seal - 1]
    path.unlink(missing_ok=True)
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    return msgspec.structs.replace(place, seal=seal, sealed_ns=_sealed_ns(folder, seal))


def remove_other_seals(folder: Path, place: StorePlace | None) -> None:
    """Remove all seals but that of a place. Raises `OSError`."""
    for number, name in enumerate(SEALS, start=1):
        if place is None or number != place.seal:
            (folder / name).unlink(missing_ok=True)


def difference(noted: StorePlace, now: StorePlace) -> str:
    """Why a store may not be the one that was noted, in words; empty where it is that."""
    if now.boot != noted.boot:
        return "the machine is another one, or was started anew"
    if (now.device, now.inode) != (noted.device, noted.inode):
        return "it is another file: a copy, or on another volume"
    if now.transaction < noted.transaction:
        return "it is older than it was: it was put back"
    if now.sealed_ns != noted.sealed_ns:
        return "what stands beside it was written by somebody else: it was put back"
    return ""


def _sealed_ns(folder: Path, seal: int) -> int:
    try:
        return (folder / SEALS[seal - 1]).lstat().st_ctime_ns
    except FileNotFoundError:
        return 0
