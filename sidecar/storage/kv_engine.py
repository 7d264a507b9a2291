"""The port to an ordered key-value engine with atomic transactions.

LMDB and an in-memory twin implement it; all that a sidecar's store means (keys, codecs, outbox,
sweeping) is written once, on top of it. Keys are at most 511 bytes.
"""

from __future__ import annotations

from typing import Protocol

KEY_BYTES_MAX = 511


class KvFailure(Exception):
    """The engine could not do it; the transaction had no effect."""


class KvFull(KvFailure):
    """There is no room: the bound on the store's size, or the disk."""


class KvShort(KvFull):
    """There is no room yet: `make_room` may make some, and then the same may fit."""


class KvEnded(KvFailure):
    """A write failed in such a way that the engine does nothing more until it is opened again.

    What is stored is whole.
    """


class KvDamaged(KvFailure):
    """What the engine keeps does not hold together; no further transaction can be trusted."""


class KvTransaction(Protocol):
    """One write transaction. Nothing of it is seen before `commit`. Belongs to one thread."""

    def get(self, key: bytes, /) -> bytes | None:
        """The value under a key."""
        ...

    def put(self, key: bytes, value: bytes, /) -> object:
        """Set the value under a key."""
        ...

    def delete(self, key: bytes, /) -> object:
        """Remove a key, if it is there."""
        ...

    def commit(self) -> None:
        """Make it durable, as far as the engine was told to, and visible."""
        ...

    def abort(self) -> None:
        """Undo it. Does nothing after `commit` or another `abort`."""
        ...


class KvEngine(Protocol):
    """An ordered key-value store that one process has open."""

    failures: tuple[type[Exception], ...]
    """What its transactions raise; `failure_of` says what that means."""

    def begin(self) -> KvTransaction:
        """Start the one write transaction."""
        ...

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        """Up to `most` pairs with `start` <= key < `stop`, in the order of their keys."""
        ...

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        """The pair with the greatest key in `start` <= key < `stop`."""
        ...

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        """Remove pairs whose damaged keys are not in their order, of so many from `start` on."""
        ...

    def failure_of(self, error: Exception) -> KvFailure:
        """Translate one of `failures`."""
        ...

    def used_bytes(self) -> int:
        """Bytes in use, without what is free to be used again."""
        ...

    def max_bytes(self) -> int:
        """Most bytes that may be used."""
        ...

    def room_bytes(self) -> int:
        """Bytes that may be added, as far as is known. What frees room has some more."""
        ...

    def is_short_of_room(self) -> bool:
        """Whether to `allocate_ahead`, `prepare_room` and `make_room`, one by one."""
        ...

    def allocate_ahead(self) -> bool:
        """Do what may wait for the disk; whether it gave any.

        Any thread may, also while a transaction runs.
        """
        ...

    def prepare_room(self) -> bool:
        """Do a little of what takes long with much that is stored; whether more is left to do.

        Between transactions, as `make_room`.
        """
        ...

    def make_room(self, *, urgent: bool = False) -> bool:
        """Make room for more, between transactions; whether there is more than there was.

        `urgent`: a transaction did not fit, so that much is needed.
        """
        ...

    def close(self) -> None:
        """Let go of it, with everything on disk."""
        ...
