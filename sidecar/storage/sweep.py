"""The sweep: forgets stored answers that have expired and counters whose window is long closed.

It walks the keys in small steps, each a transaction of its own, and starts again at the end. So no
index by time has to be kept up to date on the path of a call.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import DAY_US, EVENT_PAST_US_MAX
from sidecar.storage import codec, keys
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

COUNTER_KEPT_US: Final = EVENT_PAST_US_MAX + DAY_US
"""How long a counter outlives its window: late events may still land in it."""


class Sweep:
    """Walks a store. Not kept on disk: after a restart the walk begins anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = keys.COUNTERS

    def step(self, now_us: int, most: int) -> tuple[int, bool]:
        """Look at up to `most` keys: how many were forgotten, and whether a round is complete."""

        def work(transaction: Transaction) -> tuple[int, bytes]:
            kv = transaction.keyspace
            stop = keys.after(keys.ANSWERS)
            pairs = self._store.engine.scan(kv, self._position, stop, most)
            forgotten = 0
            for key, data in pairs:
                if _is_over(key, data, now_us):
                    kv.delete(key)
                    forgotten += 1
            return forgotten, (pairs[-1][0] + b"\0" if len(pairs) == most else keys.COUNTERS)

        forgotten, self._position = self._store.transact(work)
        return forgotten, self._position == keys.COUNTERS


def _is_over(key: bytes, data: bytes, now_us: int) -> bool:
    if key.startswith(keys.COUNTERS):
        return codec.window_end_of(data) < now_us - COUNTER_KEPT_US
    if key.startswith(keys.ANSWERS):
        return codec.expiry_of(data) <= now_us
    return False
