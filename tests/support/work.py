"""Measures work, not time: what is done between two turns of the event loop.

Counted are operations on the store's engine, the bytes that they move, and calls of whatever else a
test wants counted, such as conversions of messages.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

import pytest

from sidecar.storage.kv_engine import KvEngine, KvFailure, KvTransaction


@dataclass
class Spent:
    """Keys read, put, deleted and scanned; bytes of their values; calls of what is counted."""

    operations: int = 0
    bytes: int = 0
    items: int = 0


class Work:
    """`most`: of each kind the most that was done in one turn. `total`: all that was done."""

    def __init__(self) -> None:
        self._turn, self.most, self.total = Spent(), Spent(), Spent()

    def did(self, operations: int, size: int) -> None:
        """Something was done on the engine."""
        self._turn.operations += operations
        self._turn.bytes += size

    def count(self, monkeypatch: pytest.MonkeyPatch, owner: Any, *names: str) -> None:
        """Count calls of functions of a module, or of methods of a class."""
        for name in names:
            monkeypatch.setattr(owner, name, self._counted(getattr(owner, name)))

    @asynccontextmanager
    async def measured(self) -> AsyncIterator[None]:
        """Measure for as long as the block lasts; what was measured before is forgotten."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(0)
        self._turn, self.most, self.total = Spent(), Spent(), Spent()
        running = True

        def tick() -> None:
            self._end_turn()
            if running:
                loop.call_soon(tick)

        tick()
        try:
            yield
        finally:
            running = False
            self._end_turn()

    def _end_turn(self) -> None:
        turn, self._turn = self._turn, Spent()
        for kind in ("operations", "bytes", "items"):
            spent = getattr(turn, kind)
            setattr(self.most, kind, max(spent, getattr(self.most, kind)))
            setattr(self.total, kind, spent + getattr(self.total, kind))

    def _counted(self, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def called(*args: Any, **kwargs: Any) -> Any:
            self._turn.items += 1
            return function(*args, **kwargs)

        return called


class CountingTransaction:
    """A transaction of another engine, which is counted."""

    def __init__(self, inner: KvTransaction, work: Work) -> None:
        self.inner = inner
        self.commit = inner.commit
        self.abort = inner.abort
        self._work = work

    def get(self, key: bytes, /) -> bytes | None:
        value = self.inner.get(key)
        self._work.did(1, 0 if value is None else len(value))
        return value

    def put(self, key: bytes, value: bytes, /) -> object:
        self._work.did(1, len(value))
        return self.inner.put(key, value)

    def delete(self, key: bytes, /) -> object:
        self._work.did(1, 0)
        return self.inner.delete(key)


class CountingEngine:
    """Another engine, whose operations are counted."""

    def __init__(self, inner: KvEngine, work: Work) -> None:
        self.failures = inner.failures
        self.failure_of: Callable[[Exception], KvFailure] = inner.failure_of
        self.used_bytes = inner.used_bytes
        self.max_bytes = inner.max_bytes
        self.room_bytes = inner.room_bytes
        self.is_short_of_room = inner.is_short_of_room
        self.allocate_ahead = inner.allocate_ahead
        self.make_room = inner.make_room
        self.prepare_room = inner.prepare_room
        self.close = inner.close
        self._inner = inner
        self._work = work

    def begin(self) -> CountingTransaction:
        return CountingTransaction(self._inner.begin(), self._work)

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        assert isinstance(transaction, CountingTransaction)
        found = self._inner.scan(transaction.inner, start, stop, most)
        self._work.did(1 + len(found), sum(len(value) for _, value in found))
        return found

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        assert isinstance(transaction, CountingTransaction)
        self._work.did(most, 0)
        return self._inner.take_astray(transaction.inner, start, most)

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        assert isinstance(transaction, CountingTransaction)
        self._work.did(1, 0)
        return self._inner.last(transaction.inner, start, stop)
