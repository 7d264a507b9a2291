"""An engine that holds a store to what it promises: for tests, around any other engine.

A step has written nothing when it raises: steps share transactions, where nothing of one alone can
be undone. One transaction is open at a time, on one thread, and room is made between two: nothing
but the store sees to that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

from sidecar.storage.kv_engine import KvEngine, KvFailure, KvTransaction
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

T = TypeVar("T")


class PromiseBroken(BaseException):
    """A store did what it must not do. Nothing that handles errors may take it for one of them."""


class StrictTransaction:
    """Hands everything on, on the thread that began it, and counts what is written."""

    def __init__(self, engine: StrictEngine, inner: KvTransaction) -> None:
        self._engine = engine
        self._thread = threading.get_ident()
        self.inner = inner
        self.is_open = True

    def get(self, key: bytes, /) -> bytes | None:
        self._require_open()
        return self.inner.get(key)

    def put(self, key: bytes, value: bytes, /) -> None:
        self._require_open()
        self._engine.writes += 1
        self.inner.put(key, value)

    def delete(self, key: bytes, /) -> None:
        self._require_open()
        self._engine.writes += 1
        self.inner.delete(key)

    def commit(self) -> None:
        self._require_open()
        self.inner.commit()
        self.is_open = False

    def abort(self) -> None:
        self.inner.abort()
        self.is_open = False

    def _require_open(self) -> None:
        if not self.is_open:
            raise PromiseBroken("a transaction was used after its end")
        if threading.get_ident() != self._thread:
            raise PromiseBroken("a transaction was used by another thread")


class StrictEngine:
    """An engine around another. `writes`: puts and deletes so far."""

    def __init__(self, inner: KvEngine) -> None:
        self.failures = inner.failures
        self.writes = 0
        self._inner = inner
        self._open: StrictTransaction | None = None

    def watch(self, store: Store) -> None:
        """Hold the steps of a store on this engine to their promise."""
        run = store.transact

        def transact(work: Callable[[Transaction], T]) -> T:
            return run(self._watched(work))

        store.transact = transact  # type: ignore[method-assign]

    def begin(self) -> KvTransaction:
        self._require_none_open()
        self._open = StrictTransaction(self, self._inner.begin())
        return self._open

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        return self._inner.scan(_inner_of(transaction), start, stop, most)

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        return self._inner.take_astray(_inner_of(transaction), start, most)

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        return self._inner.last(_inner_of(transaction), start, stop)

    def failure_of(self, error: Exception) -> KvFailure:
        return self._inner.failure_of(error)

    def used_bytes(self) -> int:
        return self._inner.used_bytes()

    def max_bytes(self) -> int:
        return self._inner.max_bytes()

    def room_bytes(self) -> int:
        return self._inner.room_bytes()

    def is_short_of_room(self) -> bool:
        return self._inner.is_short_of_room()

    def allocate_ahead(self) -> bool:
        return self._inner.allocate_ahead()

    def prepare_room(self) -> bool:
        self._require_none_open()
        return self._inner.prepare_room()

    def make_room(self, *, urgent: bool = False) -> bool:
        self._require_none_open()
        return self._inner.make_room(urgent=urgent)

    def close(self) -> None:
        self._require_none_open()
        self._inner.close()

    def _watched(self, work: Callable[[Transaction], T]) -> Callable[[Transaction], T]:
        def watched(transaction: Transaction) -> T:
            before = self.writes
            try:
                return work(transaction)
            except self.failures:
                raise  # of the engine itself: the transaction is lost then, with all of its steps
            except Exception as error:
                if self.writes != before:
                    raise PromiseBroken("a step wrote before it raised") from error
                raise

        return watched

    def _require_none_open(self) -> None:
        if self._open is not None and self._open.is_open:
            raise PromiseBroken("a transaction is open")


def _inner_of(transaction: KvTransaction) -> KvTransaction:
    assert isinstance(transaction, StrictTransaction)
    return transaction.inner
