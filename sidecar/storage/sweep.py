"""The sweep: forgets counters, buckets and tallies once they are over.

Counters are when late events can no longer land in their window, and buckets of rates when they
have drained, also for events that come late. Of the counters of a limit that rolls over the newest
stays longer: after a long rest, what is carried on begins with it. Tallies are when their
incarnation is not the present one. Stored answers go by themselves (`answers.py`).

The sweep walks the keys in small steps, each a transaction of its own, and starts again at the end.
So no index by time has to be kept up to date on the path of a call.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.time.units import DAY_US
from sidecar.storage import codec, keys
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

COUNTER_KEPT_US: Final = EVENT_PAST_US_MAX + DAY_US
"""How long a counter outlives its window: late events may still land in it."""
CHAIN_KEPT_US: Final = 3_660 * DAY_US
"""How long the newest counter of a limit that rolls over, or has packs, does: packs last, however
long nothing is used of them, and so does what was used.
"""
_START_BYTES: Final = 8


class Sweep:
    """Walks a store. Not kept on disk: after a restart the walk begins anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = keys.COUNTERS

    def step(self, now_us: int, most: int) -> tuple[int, bool]:
        """Look at up to `most` keys: how many were forgotten, and whether a round is complete."""

        def work(transaction: Transaction) -> tuple[int, bytes]:
            kv = transaction.keyspace
            scan = self._store.engine.scan
            ours = keys.tallies_of(transaction.incarnation.ordinal)
            # One more than is looked at, to see what comes behind the last.
            pairs = []
            if self._position < keys.ANSWERS:
                pairs = scan(kv, self._position, keys.ANSWERS, most + 1)
            if len(pairs) <= most:
                start = max(self._position, keys.META_TALLY)
                pairs += scan(kv, start, keys.after(keys.META_TALLY), most + 1 - len(pairs))
            followers = [key for key, _ in pairs[1:]] + [b""]
            forgotten = 0
            for (key, data), follower in zip(pairs[:most], followers, strict=False):
                if _is_over(key, data, follower, ours, now_us):
                    kv.delete(key)
                    forgotten += 1
            return forgotten, (pairs[most][0] if len(pairs) > most else keys.COUNTERS)

        forgotten, self._position = self._store.transact(work)
        return forgotten, self._position == keys.COUNTERS


def _is_over(key: bytes, data: bytes, follower: bytes, ours: bytes, now_us: int) -> bool:
    """Whether to forget a key. `follower`: the next one. `ours`: how present tallies begin."""
    if key.startswith(keys.COUNTERS):
        newest = not follower.startswith(key[:-_START_BYTES])
        kept_us = CHAIN_KEPT_US if newest and codec.is_carrying(data) else COUNTER_KEPT_US
        return codec.window_end_of(data) < now_us - kept_us
    if key.startswith(keys.BUCKETS):
        return codec.over_of(data) <= now_us
    return key.startswith(keys.META_TALLY) and not key.startswith(ours)
