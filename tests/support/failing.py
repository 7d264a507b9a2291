"""Engines that fail at a chosen moment, whatever is being done then; and what tells the moment.

A test blows the fuse at each moment in turn, until what it does gets through: no statement of it is
left out, and none has to be named.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.storage.kv_engine import KvEngine, KvFailure, KvShort, KvTransaction
from tests.support.stores import Disk

MOMENTS_MAX: Final = 2_000
"""Far more than anything takes that a test does in one go."""


class Blown(Exception):
    """The fuse has blown: nothing of ours raises that."""


class Fuse:
    """Counts moments, and blows once, at the one that it is set to. Whole unless it is set."""

    def __init__(self) -> None:
        self.moments = 0
        self._blows_at: int | None = None

    def set(self, at: int) -> None:
        """Blow at this moment from now, 0 for the next."""
        self.moments, self._blows_at = 0, at

    def mend(self) -> None:
        """Blow no more."""
        self._blows_at = None

    @property
    def has_blown(self) -> bool:
        """Whether it has, since it was set."""
        return self._blows_at is None

    def burn(self) -> None:
        """A moment. Raises `Blown` if it is the one."""
        self.moments += 1
        if self._blows_at is not None and self.moments > self._blows_at:
            self._blows_at = None
            raise Blown(f"at moment {self.moments}")


def fails_at(
    moment: int,
    fuse: Fuse,
    work: Callable[[], object],
    error: type[Exception] = Blown,
    saying: str = "",
) -> bool:
    """Do it with a fuse that blows at a moment; whether it failed with an error because of that."""
    assert moment < MOMENTS_MAX, "never gets through"
    fuse.set(moment)
    try:
        work()
    except error as raised:
        failure = raised
    else:
        return False
    finally:
        is_why = fuse.has_blown
        fuse.mend()
    assert is_why, failure
    assert saying in str(failure)
    return True


class FailingTransaction:
    """A transaction of an engine that fails before whatever it is asked for."""

    def __init__(self, inner: KvTransaction, fuse: Fuse) -> None:
        self.inner = inner
        self.abort = inner.abort
        self._fuse = fuse

    def get(self, key: bytes, /) -> bytes | None:
        self._fuse.burn()
        return self.inner.get(key)

    def put(self, key: bytes, value: bytes, /) -> object:
        self._fuse.burn()
        return self.inner.put(key, value)

    def delete(self, key: bytes, /) -> object:
        self._fuse.burn()
        return self.inner.delete(key)

    def commit(self) -> None:
        self._fuse.burn()
        self.inner.commit()


class FailingEngine:
    """An engine around another: every operation on keys, and every begin and commit, is a moment.

    `short`: what does not get through lacks room, which can be made.
    """

    def __init__(self, inner: KvEngine, fuse: Fuse, *, short: bool = False) -> None:
        self.failures = (*inner.failures, Blown)
        self.used_bytes = inner.used_bytes
        self.max_bytes = inner.max_bytes
        self.room_bytes = inner.room_bytes
        self.is_short_of_room = inner.is_short_of_room
        self.allocate_ahead = inner.allocate_ahead
        self.prepare_room = inner.prepare_room
        self.close = inner.close
        self._inner = inner
        self._fuse = fuse
        self._short = short

    def begin(self) -> FailingTransaction:
        self._fuse.burn()
        return FailingTransaction(self._inner.begin(), self._fuse)

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        self._fuse.burn()
        return self._inner.scan(_inner_of(transaction), start, stop, most)

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        self._fuse.burn()
        return self._inner.last(_inner_of(transaction), start, stop)

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        self._fuse.burn()
        return self._inner.take_astray(_inner_of(transaction), start, most)

    def failure_of(self, error: Exception) -> KvFailure:
        if isinstance(error, Blown):
            return KvShort(str(error)) if self._short else KvFailure(str(error))
        return self._inner.failure_of(error)

    def make_room(self, *, urgent: bool = False) -> bool:
        return self._short or self._inner.make_room(urgent=urgent)


class FailingDisk:
    """A disk whose engines fail."""

    def __init__(self, disk: Disk, fuse: Fuse, *, short: bool = False) -> None:
        self._disk = disk
        self._fuse = fuse
        self._short = short

    def engine(self) -> FailingEngine:
        return FailingEngine(self._disk.engine(), self._fuse, short=self._short)


def _inner_of(transaction: KvTransaction) -> KvTransaction:
    assert isinstance(transaction, FailingTransaction)
    return transaction.inner
