"""Opening a store's folder: one owner, files that verify, and what the last owner left behind.

| file         | what it is                                                                     |
|--------------|--------------------------------------------------------------------------------|
| `owner.lock` | locked by the process that has the store open                                   |
| `data.mdb`   | the store                                                                      |
| `damaged-*`  | stores that did not verify, set aside for a look                                |
| others       | what the folder tells of its past: see `folder_marks`                          |

How closely a store is looked at before it is opened depends on how its last owner ended. Always:
its meta pages and its length, and where its outbox begins and ends. After a loss of power, where
damage was met, or where owners ended in quick succession: all pages and all records.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import lmdb
import msgspec
import structlog

from sidecar.domain.errors import Exhausted, Unavailable
from sidecar.shared.held_files import HeldFiles
from sidecar.shared.private_files import keep_folder_private
from sidecar.shared.wall_clock import wall_us
from sidecar.storage import folder_marks, keys
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.facts import write_fact
from sidecar.storage.folder_marks import FolderMarks, Identity, KnownLife, Past, StoreLoss
from sidecar.storage.lmdb_engine import DAMAGE, OwnerLock
from sidecar.storage.mapped_engine import open_engine
from sidecar.storage.opening import open_store
from sidecar.storage.record_check import set_damaged_aside
from sidecar.storage.store import Store
from sidecar.storage.store_place import StorePlace, difference, place_of
from sidecar.storage.verification import problem_in_metas, verifies

_DAMAGED: Final = "damaged-"
_DAMAGED_KEPT: Final = 4
"""Most stores that were set aside; beyond it the oldest is removed."""
_FILES: Final = folder_marks.FILES | {"owner.lock", "data.mdb"}
_ENDS_LOOKED_INTO: Final = 2
"""After so many ends in quick succession the next owner looks through the whole store."""
_DOUBTS_MAX: Final = 3
"""After so many ends because of damage, each looked into, nobody knows how to mend the store."""

log = structlog.get_logger(__name__)


class StoreHandle:
    """A store on disk that this process owns, until `close`.

    `losses`: stores that were in its folder before, and are gone.
    """

    def __init__(
        self,
        store: Store,
        lock: OwnerLock,
        folder: Path,
        marks: FolderMarks,
        losses: tuple[StoreLoss, ...],
    ) -> None:
        self.store = store
        self.losses: Sequence[StoreLoss] = losses
        self._lock = lock
        self._data = folder / "data.mdb"
        self._marks = marks
        self._held = HeldFiles()
        for path in (folder, folder / "owner.lock", self._data):
            self._held.hold(path)

    def begin(self) -> None:
        """Note whose store it is, and where.

        Behind a transaction of this opening: by that a file of before it is told, if put back.
        """
        with contextlib.suppress(Exhausted, Unavailable):  # a full disk: what is stored stays
            write_fact(self.store, keys.META_PROBE, None)
        if self.store.ended_by is None:
            self._note(tuple(self.losses))

    def lost(self) -> str:
        """What of the store was deleted or replaced, in words; empty where all is in its place."""
        return self._held.lost()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Close the store where what is done within meets damage: the next owner looks into it."""
        try:
            yield
        except StoreDamaged as error:
            self.store.end(error)
            self.close()
            raise

    def close(self) -> None:
        """Let go of the store, in order. What stands in its place by now stays as it is."""
        ended_by, is_there = self.store.ended_by, not self.lost()
        if ended_by is None and is_there:
            self._note(tuple(self.losses))
        self.store.close()
        if is_there and (ended_by is None or isinstance(ended_by, StoreDamaged)):
            self._marks.mark_left(in_doubt=ended_by is not None)
        self._lock.release()

    def _note(self, losses: tuple[StoreLoss, ...]) -> None:
        lives = tuple(
            KnownLife(known.id, head.sequence, known.acknowledged_sequence)
            for known, head in self.store.lives()
        )
        self._marks.put_identity(Identity(lives, losses, place_of(self._data)))


def open_folder(
    folder: Path, *, max_bytes: int, sync_commits: bool, outbox_records_max: int
) -> StoreHandle:
    """Open the store in a folder, or start one.

    Raises `StoreInUse`, `StoreFormatError`, `StoreUnsafe`, and `OSError` where the folder cannot be
    used. A store that does not verify is set aside, and a new one is started: what had been sent is
    safe with the control plane, what waited in the outbox is in the damaged file. That is a loss,
    and so is a store that is not there any more; losses are kept.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    marks = FolderMarks(folder)
    lock = OwnerLock(folder)
    try:
        past = marks.past()
        identity = marks.identity()
        data = folder / "data.mdb"
        # Now: to take a mode from a file changes what is compared.
        place = place_of(data, identity.place.seal if identity.place else 0)
        keep_folder_private(folder, _is_ours)
        # Of a store whose loss is noted there may be no successor yet.
        loss = _missing(data) if past.is_known and not identity.is_of_nobody else ""
        looks = not loss and _is_to_be_looked_through(past)
        with marks.looking_through() if looks else contextlib.nullcontext():
            loss = loss or _damage_in(data, past, looks=looks)
            identity = _with_loss(marks, identity, loss)
            power_lost = past.power_lost and not loss
            arguments = folder, max_bytes, sync_commits, outbox_records_max
            store, damage = _opened(*arguments, power_lost, _is_copy(identity, place))
            identity = _with_loss(marks, identity, damage)
            try:
                if looks:
                    set_damaged_aside(store, new_incarnation)
                # Only now: an opening that fails must leave the traces of a loss of power.
                marks.mark_in_use()
                opened = StoreHandle(store, lock, folder, marks, identity.losses)
            except BaseException:
                with contextlib.suppress(OSError):  # what came first says more
                    store.close()
                raise
    except BaseException:
        lock.release()
        raise
    with opened.watched():
        opened.begin()
    return opened


def _with_loss(marks: FolderMarks, identity: Identity, loss: str) -> Identity:
    """Note that a store is gone, if it is, before another one begins: whoever ends now forgets."""
    if not loss:
        return identity
    log.error("store.lost", reason=loss, lives=msgspec.to_builtins(identity.lives))
    identity = Identity((), folder_marks.losses_of(identity, wall_us(), loss))
    marks.put_identity(identity)
    return identity


def _is_to_be_looked_through(past: Past) -> bool:
    if past.in_vain and not past.in_doubt:
        # It may be looking that ended its last owner: whoever waits for a start has patience for
        # so long. What is damaged is still found where it is met.
        log.error("store.not_looked_through", ends=past.ends)
        return False
    looks = past.power_lost or past.in_doubt or past.ends >= _ENDS_LOOKED_INTO
    if looks:
        log.warning("store.looked_through", power_lost=past.power_lost, ends=past.ends)
    return looks


def _is_copy(identity: Identity, now: StorePlace | None) -> bool | None:
    """Whether a store is not the one that its last owner left; `None` where nobody noted that."""
    noted = identity.place
    if noted is None or now is None:
        return None
    why = difference(noted, now)
    if why:
        log.warning("store.not_where_it_was", reason=why)
    return bool(why)


def _missing(data: Path) -> str:
    """Whether the file of a store that was here has nothing in it, in words."""
    try:
        return "" if data.stat().st_size else "its file is empty"
    except FileNotFoundError:
        return "its file is not there"


def _damage_in(data: Path, past: Past, *, looks: bool) -> str:
    """What is wrong with a store's file, which is set aside then; empty if nothing is."""
    problem = problem_in_metas(data)
    damage = ""
    if past.in_doubt and past.doubts >= _DOUBTS_MAX:
        damage = "it ended its owners again and again"
    elif (looks or problem) and not verifies(data):
        damage = f"its file is damaged: {problem}" if problem else "its file is damaged"
    if damage:
        _set_aside(data.parent)
    return damage


def _opened(
    folder: Path,
    max_bytes: int,
    sync_commits: bool,
    outbox_records_max: int,
    power_lost: bool,
    is_copy: bool | None,
) -> tuple[Store, str]:
    """The store, or a new one in the place of one that cannot be opened; and why that cannot."""
    arguments = folder, max_bytes, sync_commits, outbox_records_max
    try:
        return _open(*arguments, power_lost, is_copy), ""
    except StoreDamaged as error:
        log.error("store.damaged", error=str(error))
        _set_aside(folder)
        return _open(*arguments, False, False), f"it cannot be opened: {error}"


def _open(
    folder: Path,
    max_bytes: int,
    sync_commits: bool,
    outbox_records_max: int,
    power_lost: bool,
    is_copy: bool | None,
) -> Store:
    try:
        engine = open_engine(folder, max_bytes, sync_commits=sync_commits)
        try:
            return open_store(
                engine,
                new_incarnation=new_incarnation,
                outbox_records_max=outbox_records_max,
                power_lost=power_lost,
                is_copy=is_copy,
            )
        except BaseException:
            engine.close()
            raise
    except DAMAGE as error:
        raise StoreDamaged(f"damage in the store: {error}") from error
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
    by_age = sorted(folder.glob(f"{_DAMAGED}*"), key=lambda path: path.stat().st_mtime_ns)
    for oldest in by_age[:-_DAMAGED_KEPT]:
        # A disk that damages again and again must not be filled with what it damaged.
        shutil.rmtree(oldest, ignore_errors=True)
        log.error("store.set_aside_removed", folder=str(oldest))


def _is_ours(name: str) -> bool:
    return name in _FILES or name.startswith(_DAMAGED)
