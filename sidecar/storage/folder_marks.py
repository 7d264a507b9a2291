"""What a store's folder tells of its past: small files beside the store itself.

| file         | what it is                                                                     |
|--------------|--------------------------------------------------------------------------------|
| `in-use`     | the boot of the machine under which the store was opened                        |
| `not-in-use` | the same mark once it was closed in order: kept, since on a full disk no new    |
|              | one could be written                                                           |
| `in-doubt`   | the same mark where the last owner met damage, and ended                        |
| `ends`       | when owners ended without closing it, lately; and whether it is being looked    |
|              | through: if so in vain, since its owner ended meanwhile                         |
| `identity`   | whose store it is, and where, as of the last time that it was opened or closed; |
|              | and which stores were here before and are gone                                 |
| `seal-1`,    | made with the last `identity`, and never touched again: tells what was put back |
| `seal-2`     | (see `store_place`)                                                             |

None of them is read as more than it is: one that is damaged itself says nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final

import msgspec
import structlog

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.time.windows import END_INSTANT_US
from sidecar.shared.wall_clock import boot_id
from sidecar.storage.store_place import SEALS, StorePlace, remove_other_seals, with_new_seal

IN_USE: Final = "in-use"
NOT_IN_USE: Final = "not-in-use"
IN_DOUBT: Final = "in-doubt"
ENDS: Final = "ends"
IDENTITY: Final = "identity"
FILES: Final = frozenset({IN_USE, NOT_IN_USE, IN_DOUBT, ENDS, IDENTITY, "identity.new", *SEALS})
LOSSES_MAX: Final = 16
"""The newest are kept; the control plane has been told of the others."""
REASON_MAX: Final = 200
"""Characters of why a store is gone."""
SUCCESSION_SECONDS: Final = 600.0
"""Ends within so long of each other follow in quick succession."""
_ENDS_KEPT: Final = 8
_MARK_BYTES_MAX: Final = 1 << 16

log = structlog.get_logger(__name__)


class StoreUnsafe(Exception):
    """The store's folder holds what must not be followed."""


_Sequence = Annotated[int, msgspec.Meta(ge=0, le=INT64_MAX)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]


class KnownLife(msgspec.Struct, frozen=True):
    """A life of a store with records to send, and how far it was when this was written."""

    incarnation: _Name
    last_sequence: _Sequence
    acknowledged_sequence: _Sequence


class StoreLoss(msgspec.Struct, frozen=True):
    """A life of a store that is gone, with what it had not sent.

    `incarnation` is empty where it is not known. Sequences as far as they are known.
    """

    incarnation: _Name
    noticed_us: Annotated[int, msgspec.Meta(ge=0, lt=END_INSTANT_US)]
    reason: Annotated[str, msgspec.Meta(max_length=REASON_MAX)]
    last_sequence: _Sequence = 0
    acknowledged_sequence: _Sequence = 0


class Identity(msgspec.Struct, frozen=True):
    """Whose store it is, which were here before, and where it is, as far as that is known."""

    lives: tuple[KnownLife, ...] = ()
    losses: tuple[StoreLoss, ...] = ()
    place: StorePlace | None = None

    @property
    def is_of_nobody(self) -> bool:
        """Whether the last store is lost and no other has begun."""
        return bool(self.losses) and not self.lives


class Past(msgspec.Struct, frozen=True):
    """What became of the last owner.

    `is_known`: there was one. `power_lost`: the machine was started anew, and the store was not
    closed. `in_doubt`: damage was met, and `doubts`: how often lately. `ends`: owners that ended in
    quick succession without closing, since the store was last looked through. `in_vain`: the last
    of them ended while it looked.
    """

    is_known: bool
    power_lost: bool
    in_doubt: bool
    doubts: int
    ends: int
    in_vain: bool


class _Ends(msgspec.Struct, frozen=True):
    """Seconds since the Unix epoch of each end, oldest first; `doubts`: of those for damage."""

    at_seconds: tuple[float, ...] = ()
    doubts: tuple[float, ...] = ()
    looking: bool = False


class FolderMarks:
    """Reads and writes the marks of a folder that this process owns."""

    def __init__(self, folder: Path) -> None:
        """Raises `StoreUnsafe` where one of the store's files is none, but a link, say."""
        self._folder = folder
        for name in (*sorted(FILES), "owner.lock", "data.mdb"):
            _require_file(folder / name)

    def past(self) -> Past:
        """What became of the last owner; its end is noted."""
        boot = boot_id()
        left_by = _text(self._folder / IN_USE)
        in_doubt = (self._folder / IN_DOUBT).exists()
        is_known = left_by is not None or in_doubt or (self._folder / NOT_IN_USE).exists()
        if in_doubt and left_by is None:
            left_by = _text(self._folder / IN_DOUBT)
        ends = self._ends()
        at_seconds = _noted(ends.at_seconds) if left_by is not None else ()
        doubts = _noted(ends.doubts) if in_doubt else ends.doubts if left_by is not None else ()
        self._put_ends(_Ends(at_seconds, doubts))
        return Past(
            is_known=is_known or (self._folder / IDENTITY).exists(),
            power_lost=left_by not in (None, boot),
            in_doubt=in_doubt,
            doubts=len(doubts),
            ends=len(at_seconds),
            in_vain=ends.looking and left_by is not None,
        )

    @contextmanager
    def looking_through(self) -> Iterator[None]:
        """Note that all of the store is looked through within; behind it, ends count anew."""
        ends = self._ends()
        self._put_ends(msgspec.structs.replace(ends, looking=True))
        try:
            yield
        except BaseException:
            self._put_ends(ends)
            raise
        self._put_ends(_Ends(doubts=ends.doubts))

    def identity(self) -> Identity:
        """Whose store it was, as far as that is known."""
        try:
            return msgspec.json.decode(_text(self._folder / IDENTITY) or "{}", type=Identity)
        except (msgspec.MsgspecError, ValueError):
            log.warning("store.identity_unreadable")
            return Identity()

    def put_identity(self, identity: Identity) -> None:
        """Note whose store it is, under a new seal. On a full disk the older note and seal stay."""
        spare = self._folder / "identity.new"
        place = identity.place
        try:
            if place is not None:
                place = with_new_seal(self._folder, place, self.identity().place)
            _write(spare, msgspec.json.encode(msgspec.structs.replace(identity, place=place)))
            spare.rename(self._folder / IDENTITY)
            remove_other_seals(self._folder, place)
            _sync(self._folder)
        except OSError as error:
            log.warning("store.identity_not_noted", error=str(error))

    def mark_in_use(self) -> None:
        """Say that the store is open, so that a loss of power does not take it back.

        A mark that is there is written over if it has to be, and renamed: that needs no room.
        """
        boot = boot_id()
        mark = self._folder / IN_USE
        spares = [self._folder / name for name in (IN_DOUBT, NOT_IN_USE)]
        present = next((path for path in (mark, *spares) if path.exists()), mark)
        if _text(present) != boot:
            _write(present, f"{boot}\n".encode("ascii"))
        if present != mark:
            present.rename(mark)
        for spare in spares:
            spare.unlink(missing_ok=True)
        _sync(self._folder)

    def mark_left(self, *, in_doubt: bool) -> None:
        """Say that the store was closed, in order or because of damage."""
        try:
            (self._folder / IN_USE).rename(self._folder / (IN_DOUBT if in_doubt else NOT_IN_USE))
        except FileNotFoundError:
            return

    def _ends(self) -> _Ends:
        try:
            return msgspec.json.decode(_text(self._folder / ENDS) or "{}", type=_Ends)
        except (msgspec.MsgspecError, ValueError):
            return _Ends()

    def _put_ends(self, ends: _Ends) -> None:
        if ends == self._ends():
            return
        try:
            # In place: that needs no room.
            _write(self._folder / ENDS, msgspec.json.encode(ends))
        except OSError as error:
            log.warning("store.end_not_noted", error=str(error))


def _noted(ends: tuple[float, ...]) -> tuple[float, ...]:
    """The ends that are not long ago, and one now."""
    now = time.time()
    return (*(at for at in ends if abs(now - at) < SUCCESSION_SECONDS), now)[-_ENDS_KEPT:]


def losses_of(identity: Identity, noticed_us: int, reason: str) -> tuple[StoreLoss, ...]:
    """The losses of a folder once its store is gone, too."""
    lives: Sequence[KnownLife] = identity.lives or (KnownLife("", 0, 0),)
    short = reason[:REASON_MAX]
    gone = [
        StoreLoss(
            life.incarnation, noticed_us, short, life.last_sequence, life.acknowledged_sequence
        )
        for life in lives
    ]
    return (*identity.losses, *gone)[-LOSSES_MAX:]


def _require_file(path: Path) -> None:
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return
    if stat.S_ISLNK(facts.st_mode):
        raise StoreUnsafe(f"{path} is a symbolic link: inside the store's folder none is followed")
    if not stat.S_ISREG(facts.st_mode):
        raise StoreUnsafe(f"{path} is no file")


def _text(path: Path) -> str | None:
    """What a mark says; `None` without one."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.pread(opened, _MARK_BYTES_MAX, 0).decode("utf-8", "replace").strip()
    finally:
        os.close(opened)


def _write(path: Path, data: bytes) -> None:
    opened = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        os.ftruncate(opened, os.pwrite(opened, data, 0))
        os.fsync(opened)
    finally:
        os.close(opened)


def _sync(folder: Path) -> None:
    opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
