"""The sweep: forgets counters, leases, buckets, seats and tallies once they are over.

Counters are when late events can no longer land in their window, and buckets of rates when they
have drained, also for events that come late. Of the counters of a limit that rolls over the newest
stays longer: after a long rest, what is carried on begins with it. Leases are with their counters,
and those in windows without an end once their incarnation is a long-gone one. Tallies are when
their incarnation is not the present one. Stored answers go by themselves (`answers.py`).

The sweep walks the keys in small steps, each a transaction of its own, and starts again at the end.
So no index by time has to be kept up to date on the path of a call. And it comes by what nobody
finds any more, since a key is damaged: the store ends then, and its successor looks through it.
"""

from __future__ import annotations

from typing import Final

from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import LIFETIME_WINDOW
from sidecar.storage import codec, keys
from sidecar.storage.bucket_codec import over_of
from sidecar.storage.damage import StoreDamaged
from sidecar.storage.key_check import require_key
from sidecar.storage.kv_engine import KvTransaction
from sidecar.storage.lease_entry import read_lease
from sidecar.storage.seats import SeatPosition, StoredPool, StoredSeat
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

COUNTER_KEPT_US: Final = EVENT_PAST_US_MAX + DAY_US
"""How long a counter outlives its window: late events may still land in it."""
CHAIN_KEPT_US: Final = 3_660 * DAY_US
"""How long the newest counter of a limit that rolls over, or has packs, does: packs last, however
long nothing is used of them, and so does what was used.
"""
RELEASED_KEPT_US: Final = 400 * DAY_US
"""How long it is known who gave a seat back: as long as a year of swaps is, and longer."""
LIVES_REPORTED: Final = 16
"""So many incarnations before the present one still say what they held in windows without end."""
_START_BYTES: Final = 8
_RANGES: Final = (
    (keys.COUNTERS, keys.ANSWERS),
    (keys.LEASES, keys.after(keys.LEASES)),
    (keys.META_TALLY, keys.after(keys.META_TALLY)),
    (keys.SEAT_POOLS, keys.after(keys.SEATS)),
)
"""Where what can be over stands."""


class Sweep:
    """Walks a store. Not kept on disk: after a restart the walk begins anew."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._position = keys.COUNTERS

    def step(self, now_us: int, most: int) -> tuple[int, bool]:
        """Look at up to `most` keys: how many were forgotten, and whether a round is complete."""

        def work(transaction: Transaction) -> tuple[int, bytes]:
            kv = transaction.keyspace
            relied_on = _generation_of_seats(kv)
            scan = self._store.engine.scan
            present = transaction.incarnation.ordinal
            # One more than is looked at, to see what comes behind the last.
            pairs: list[tuple[bytes, bytes]] = []
            for first, stop in _RANGES:
                start = max(self._position, first)
                if start < stop and len(pairs) <= most:
                    pairs += scan(kv, start, stop, most + 1 - len(pairs))
            followers = [key for key, _ in pairs[1:]] + [b""]
            forgotten = 0
            for (key, data), follower in zip(pairs[:most], followers, strict=False):
                if follower and follower <= key:
                    raise StoreDamaged("damage in the store: keys that are not in their order")
                if _is_over(key, data, follower, present, now_us) or _is_seat_over(
                    key, data, relied_on, now_us
                ):
                    kv.delete(key)
                    forgotten += 1
            return forgotten, (pairs[most][0] if len(pairs) > most else keys.COUNTERS)

        forgotten, self._position = self._store.transact(work)
        return forgotten, self._position == keys.COUNTERS


def _is_over(key: bytes, data: bytes, follower: bytes, present: int, now_us: int) -> bool:
    """Whether to forget a key. `follower`: the next one. `present`: the incarnation that is."""
    if key.startswith(keys.COUNTERS):
        require_key(key, data)  # nobody else would ever come by it
        newest = not follower.startswith(key[:-_START_BYTES])
        kept_us = CHAIN_KEPT_US if newest and codec.is_carrying(data) else COUNTER_KEPT_US
        return codec.window_end_of(data) < now_us - kept_us
    if key.startswith(keys.BUCKETS):
        return over_of(data) <= now_us
    if key.startswith(keys.LEASES):
        end_us = read_lease(key, data).end_us
        if end_us == LIFETIME_WINDOW.end_us:
            return keys.ordinal_of_lease(key) < present - LIVES_REPORTED
        return end_us < now_us - COUNTER_KEPT_US
    is_tally = key.startswith(keys.META_TALLY)
    return is_tally and not key.startswith(keys.tallies_of(present))


def _is_seat_over(key: bytes, data: bytes, relied_on: int, now_us: int) -> bool:
    """Whether to forget a seat, or how many there are. `relied_on`: see `SeatPosition`."""
    if key.startswith(keys.SEAT_POOLS):
        return codec.decode_value(data, StoredPool).window_end_us < now_us - COUNTER_KEPT_US
    if not key.startswith(keys.SEATS):
        return False
    seat = codec.decode_value(data, StoredSeat)
    if seat.generation not in (0, relied_on):
        return True
    if seat.released_us is not None and seat.released_us < now_us - RELEASED_KEPT_US:
        return True
    return seat.window_end_us < now_us - DAY_US


def _generation_of_seats(kv: KvTransaction) -> int:
    data = kv.get(keys.META_SEATS)
    return 1 if data is None else codec.decode_value(data, SeatPosition).generation
