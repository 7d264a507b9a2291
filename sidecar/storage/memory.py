"""An engine in memory: the twin of the LMDB one, for tests and for a fake sidecar."""

from __future__ import annotations

from bisect import bisect_left, insort

from sidecar.storage.kv_engine import KEY_BYTES_MAX, KvFailure, KvFull, KvTransaction


class MemoryTransaction:
    """Writes are kept aside until `commit`; `None` marks a deleted key."""

    def __init__(self, engine: MemoryEngine) -> None:
        self._engine = engine
        self._writes: dict[bytes, bytes | None] = {}

    def get(self, key: bytes, /) -> bytes | None:
        if key in self._writes:
            return self._writes[key]
        return self._engine.values.get(key)

    def put(self, key: bytes, value: bytes, /) -> None:
        if not 0 < len(key) <= KEY_BYTES_MAX:
            raise KvFailure(f"a key must have 1 to {KEY_BYTES_MAX} bytes")
        self._writes[key] = value

    def delete(self, key: bytes, /) -> None:
        self._writes[key] = None

    def commit(self) -> None:
        writes, self._writes = self._writes, {}
        self._engine.apply(writes)

    def abort(self) -> None:
        self._writes = {}

    def written(self) -> dict[bytes, bytes | None]:
        """Keys written so far, for scans that have to see them."""
        return self._writes


class MemoryEngine:
    """Keeps all in a dictionary and a sorted list of its keys."""

    failures: tuple[type[Exception], ...] = (KvFailure,)

    def __init__(self, max_bytes: int = 1 << 30) -> None:
        self.values: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []
        self._used_bytes = 0
        self._max_bytes = max_bytes

    def begin(self) -> MemoryTransaction:
        return MemoryTransaction(self)

    def apply(self, writes: dict[bytes, bytes | None]) -> None:
        """Take over a transaction's writes, or raise `KvFull` and take none."""
        growth = 0
        for key, value in writes.items():
            old = self.values.get(key)
            growth -= 0 if old is None else len(key) + len(old)
            growth += 0 if value is None else len(key) + len(value)
        if growth > 0 and self._used_bytes + growth > self._max_bytes:
            raise KvFull("the store has reached its size bound")
        self._used_bytes += growth
        for key, value in writes.items():
            if value is not None:
                if key not in self.values:
                    insort(self._keys, key)
                self.values[key] = value
            elif self.values.pop(key, None) is not None:
                del self._keys[bisect_left(self._keys, key)]

    def scan(
        self, transaction: KvTransaction, start: bytes, stop: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        found: list[tuple[bytes, bytes]] = []
        for key in self._range(transaction, start, stop):
            if len(found) == most:
                break
            value = transaction.get(key)
            if value is not None:
                found.append((key, value))
        return found

    def last(
        self, transaction: KvTransaction, start: bytes, stop: bytes
    ) -> tuple[bytes, bytes] | None:
        for key in reversed(self._range(transaction, start, stop)):
            value = transaction.get(key)
            if value is not None:
                return key, value
        return None

    def take_astray(
        self, transaction: KvTransaction, start: bytes, most: int
    ) -> list[tuple[bytes, bytes]]:
        return []  # its keys are always in their order

    def failure_of(self, error: Exception) -> KvFailure:
        assert isinstance(error, KvFailure)
        return error

    def used_bytes(self) -> int:
        return self._used_bytes

    def max_bytes(self) -> int:
        return self._max_bytes

    def room_bytes(self) -> int:
        return max(0, self._max_bytes - self._used_bytes)

    def is_short_of_room(self) -> bool:
        return False

    def allocate_ahead(self) -> bool:
        return False

    def prepare_room(self) -> bool:
        return False

    def make_room(self, *, urgent: bool = False) -> bool:
        return False

    def close(self) -> None:
        """Nothing to let go of: what was committed stays for the next to open it."""

    def _range(self, transaction: KvTransaction, start: bytes, stop: bytes) -> list[bytes]:
        assert isinstance(transaction, MemoryTransaction)
        committed = self._keys[bisect_left(self._keys, start) : bisect_left(self._keys, stop)]
        fresh = {key for key in transaction.written() if start <= key < stop}
        return sorted(fresh.union(committed)) if fresh else committed
