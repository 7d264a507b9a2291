"""Leases: asking for them, taking what is answered, and giving back, each step durable by itself.

What may be spent stands in the counter itself, where counting finds it (`codec.StoredCounter`); the
rest in an entry beside it (`lease_entry.py`). Both change as one. A request has a number that was
never used before, and lowers what it gives back before anybody is told. An answer counts where it
is that to the last request, once: so one that is late, doubled or lost grants nothing twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import structlog
from msgspec.structs import replace

from sidecar.domain.leases.model import (
    WITHOUT_LEASE,
    Lease,
    LeaseEntry,
    LeaseRequest,
    LeaseResult,
    LeaseWish,
)
from sidecar.domain.limits.counters import CounterName, is_level
from sidecar.storage import codec, keys
from sidecar.storage.codec import StoredCounter
from sidecar.storage.kv_engine import KvTransaction
from sidecar.storage.lease_entry import (
    NotedLease,
    counter_key_of,
    decode_lease,
    encode_lease,
    lease_of,
)
from sidecar.storage.lease_numbers import put_number, read_numbers
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

LEASES_AT_ONCE: Final = 80
"""Leases of one step: as many requests, answers, or entries of a page."""

log = structlog.get_logger(__name__)


class Leases:
    """Reads and changes the leases in a store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def request(self, wishes: Sequence[LeaseWish]) -> list[LeaseRequest]:
        """Note requests, and lower what they give back; they may be sent then.

        At most `LEASES_AT_ONCE`, each of another counter. None of them takes the answer to one
        before any more. Raises as `Store.transact`.
        """

        def work(transaction: Transaction) -> list[LeaseRequest]:
            kv = transaction.keyspace
            numbers = read_numbers(kv)
            number = max(numbers.values(), default=0)
            requests = []
            for number, wish in enumerate(wishes, number + 1):  # noqa: B020
                requests.append(_requested(transaction, wish, number))
            if requests:
                put_number(kv, numbers, transaction.incarnation.id, number)
            return requests

        return self._store.transact(work)

    def take(
        self, incarnation_id: str, answered: Sequence[tuple[CounterName, LeaseResult, int]]
    ) -> int:
        """Take over what the plane answered to requests of an incarnation; how many were taken.

        With each the counter's own usage from which on more is to be asked for. At most
        `LEASES_AT_ONCE`. One is not taken where it answers none of the present incarnation's last
        requests, was taken before, or grants more than was asked for. Raises as `Store.transact`.
        """
        if self._store.incarnation.id != incarnation_id:
            return 0
        too_much: list[CounterName] = []

        def work(transaction: Transaction) -> int:
            too_much.clear()
            taken = 0
            for counter, result, refill_at in answered:
                entry = _entry_of(transaction, counter)
                if entry is None or not entry.waits or entry.number != result.number:
                    continue
                is_lease = result.status not in WITHOUT_LEASE
                if is_lease and not _may_be(result.granted, entry):
                    too_much.append(counter)
                    _put_entry(transaction, replace(entry, waits=False))
                    continue
                _take(transaction, entry, result, refill_at)
                taken += 1
            return taken

        taken = self._store.transact(work)
        if too_much:
            first = too_much[0]
            where = {"company": first.company, "feature": first.feature}
            log.error("leases.granted_more_than_asked", leases=len(too_much), **where)
        return taken

    def page(self, after: bytes, most: int) -> tuple[list[LeaseEntry], bytes]:
        """What the store has of leases, of its present and its earlier incarnations, in parts.

        Behind a position, from b"" on, at most so many and at most `LEASES_AT_ONCE`; and the
        position to go on behind, b"" at the end. Raises `StoreDamaged`.
        """
        start = after + b"\0" if after else keys.LEASES
        return self._page(start, keys.after(keys.LEASES), min(most, LEASES_AT_ONCE))

    def _page(self, start: bytes, stop: bytes, most: int) -> tuple[list[LeaseEntry], bytes]:
        engine = self._store.engine

        def work(transaction: Transaction) -> tuple[list[LeaseEntry], bytes]:
            kv = transaction.keyspace
            found = engine.scan(kv, start, stop, most)
            entries = [_told(kv, key, decode_lease(data)) for key, data in found]
            return entries, (found[-1][0] if found and len(found) == most else b"")

        return self._store.transact(work)

    def life_before(self, ordinal: int | None) -> int | None:
        """The ordinal of the newest incarnation before one that the store has leases of.

        `None`: of all; and where there is none. Raises `StoreDamaged`.
        """
        engine = self._store.engine
        stop = keys.after(keys.LEASES) if ordinal is None else keys.leases_of(ordinal)

        def work(transaction: Transaction) -> int | None:
            last = engine.last(transaction.keyspace, keys.LEASES, stop)
            return None if last is None else keys.ordinal_of_lease(last[0])

        return self._store.transact(work)

    def page_of(self, ordinal: int, after: bytes) -> tuple[list[LeaseEntry], bytes]:
        """As `page`, what it has of one incarnation."""
        prefix = keys.leases_of(ordinal)
        return self._page(after + b"\0" if after else prefix, keys.after(prefix), LEASES_AT_ONCE)

    def numbers(self) -> dict[str, int]:
        """Numbers of the last requests of the present and of earlier incarnations.

        Of those that have asked; at most `INCARNATIONS_MAX`, the newest. Raises `StoreDamaged`.
        """
        return self._store.transact(lambda transaction: read_numbers(transaction.keyspace))

    def lower(self, after: bytes) -> bytes:
        """Lower what the present incarnation holds to what it has counted, a part of all.

        Behind a position, from b"" on; the position to go on behind, b"" at the end. Each has a
        later number then, so that no answer to a request before is taken, and the plane believes
        who reports it. Raises as `Store.transact`.
        """
        engine = self._store.engine

        def work(transaction: Transaction) -> bytes:
            kv, prefix = transaction.keyspace, keys.leases_of(transaction.incarnation.ordinal)
            start = after + b"\0" if after else prefix
            found = engine.scan(kv, start, keys.after(prefix), LEASES_AT_ONCE)
            numbers = read_numbers(kv)
            before = number = max(numbers.values(), default=0)
            for key, data in found:
                counter = keys.counter_of_lease(key)
                number += _lowered(transaction, counter, decode_lease(data), number)
            if number > before:
                put_number(kv, numbers, transaction.incarnation.id, number)
            return found[-1][0] if len(found) == LEASES_AT_ONCE else b""

        return self._store.transact(work)

    def drop(self, counter: CounterName) -> None:
        """Spend nothing more of the present incarnation's lease of a counter.

        What was counted on it is still told to a plane that has lost it: there the counter may be
        one that a limit had before.
        """

        def work(transaction: Transaction) -> None:
            entry = _entry_of(transaction, counter)
            if entry is not None:
                _end(transaction, entry)

        self._store.transact(work)


def _may_be(granted: int, entry: NotedLease) -> bool:
    """Whether an answer may say so: no more than was asked for, below nothing of levels alone."""
    return granted <= entry.granted_max and (granted >= 0 or is_level(entry.slot))


def _requested(transaction: Transaction, wish: LeaseWish, number: int) -> LeaseRequest:
    key = counter_key_of(wish.counter)
    known = transaction.counter(key)
    used = 0 if known is None else known.own
    entry = _entry_of(transaction, wish.counter)
    if entry is None:
        entry = lease_of(transaction.incarnation.id, wish.counter, min(0, used))
    held = entry.granted
    if wish.gives_back or not wish.want:
        held = min(held, used)
        _put_lease(transaction, key, None)
    request = LeaseRequest(wish.counter, number, held, used, wish.need, wish.want, wish.ahead)
    _put_entry(
        transaction,
        replace(
            entry,
            number=number,
            waits=True,
            granted=held,
            granted_max=request.most,
            left_at=0,
        ),
    )
    return request


def _lowered(transaction: Transaction, key: bytes, entry: NotedLease, number: int) -> bool:
    """Lower a lease under the number behind one; whether there was anything to lower."""
    known = transaction.counter(key)
    own = 0 if known is None else known.own
    left_at = transaction.head.sequence
    if not entry.waits and (entry.granted, entry.left_at) == (own, left_at):
        return False
    _put_lease(transaction, key, None)
    _put_entry(
        transaction,
        replace(
            entry,
            number=number + 1,
            waits=False,
            granted=own,
            granted_max=own,
            left_at=left_at,
        ),
    )
    return True


def _end(transaction: Transaction, entry: NotedLease) -> None:
    """Keep of a lease what was counted under it, and forget it where nothing was."""
    key = counter_key_of(entry.counter)
    known = transaction.counter(key)
    granted = 0 if known is None else min(entry.granted, known.own)
    _put_lease(transaction, key, None)
    if not granted:
        transaction.keyspace.delete(_key_of(transaction, key))
        return
    _put_entry(
        transaction,
        replace(entry, waits=False, granted=granted, granted_max=granted, valid_until_us=0),
    )


def _take(transaction: Transaction, entry: NotedLease, result: LeaseResult, refill_at: int) -> None:
    if result.status in WITHOUT_LEASE:
        _end(transaction, entry)
        return
    counter = entry.counter
    key = counter_key_of(counter)
    known = transaction.counter(key)
    own = 0 if known is None else known.own
    granted, lease = result.granted, None
    if granted > own:
        lease = Lease(granted, refill_at, result.valid_until_us, result.amount)
        if known is None:
            window_end_us = counter.counter.window.end_us
            known = StoredCounter(0, 0, 0, window_end_us, counter.counter.values)
            transaction.put_counter(key, known)
    _put_lease(transaction, key, lease)
    # Of a level it stays: what is taken back from now on is leased to here, until it is given back.
    if not (granted or own or is_level(counter.counter.slot)):
        transaction.keyspace.delete(_key_of(transaction, key))
        return
    valid_until_us = result.valid_until_us if lease else 0
    answered = replace(entry, waits=False, granted=granted, valid_until_us=valid_until_us)
    _put_entry(transaction, answered)


def _told(kv: KvTransaction, key: bytes, entry: NotedLease) -> LeaseEntry:
    data = kv.get(keys.counter_of_lease(key))
    own = 0 if data is None else codec.decode_counter(data, keys.ordinal_of_lease(key)).own
    return LeaseEntry(
        entry.counter,
        entry.incarnation,
        entry.granted,
        own,
        entry.number,
        entry.valid_until_us,
        entry.waits,
        entry.granted_max if entry.waits else 0,
        entry.granted if entry.left_at and not entry.waits else None,
    )


def _put_lease(transaction: Transaction, key: bytes, lease: Lease | None) -> None:
    known = transaction.counter(key)
    if known is not None and known.lease != lease:
        transaction.put_counter(key, replace(known, lease=lease))


def _entry_of(transaction: Transaction, counter: CounterName) -> NotedLease | None:
    data = transaction.keyspace.get(_key_of(transaction, counter_key_of(counter)))
    return None if data is None else decode_lease(data)


def _put_entry(transaction: Transaction, entry: NotedLease) -> None:
    key = _key_of(transaction, counter_key_of(entry.counter))
    transaction.keyspace.put(key, encode_lease(entry))


def _key_of(transaction: Transaction, counter_key: bytes) -> bytes:
    return keys.lease_key(transaction.incarnation.ordinal, counter_key)
