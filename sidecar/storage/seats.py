"""Seats on disk: who holds one here, as far as was heard; and what the plane is still to be told.

A seat's key is that of the counter on which it is counted, with the holder behind it. What was
heard of seats goes by a position: the plane's epoch, the version up to which all changes are known,
and a number of ours, which moves where all that was known is not to be relied on any more: seats of
another number are none, and are forgotten by the sweep.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.domain.seats.model import Seat, SeatRequest
from sidecar.domain.seats.rules import SeatPool
from sidecar.domain.time.windows import LIFETIME_WINDOW, Window
from sidecar.storage import codec, keys
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction

HEARD_AT_ONCE: Final = 200
"""Changes to be taken over in one step."""
_LOOKED_AT_ONCE: Final = 200
NAMED_SLOT: Final = "LIFETIME||"
"""The slot of named seats: limits on seats are company-wide."""


class StoredSeat(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A seat that is held. `generation`: see `SeatPosition`; 0 where nobody has to confirm it.

    `released_us`: when it was given back; known where this process decides about seats alone.
    """

    window_end_us: int
    assigned_us: int
    version: int
    generation: int
    released_us: int | None = None


class StoredPool(msgspec.Struct, frozen=True, array_like=True):
    """How many seats of a counter are held, where this process decides about seats alone."""

    window_end_us: int
    pool: SeatPool


class SeatPosition(msgspec.Struct, frozen=True):
    """What was heard of seats: all changes up to a version of an epoch of the plane.

    `generation`: of what is relied on; 1 or more.
    """

    epoch: str = ""
    version: int = 0
    generation: int = 1


class Seats:
    """Reads and writes seats. Runs on the store's thread."""

    def __init__(self, store: Store) -> None:
        self._store = store
        data = store.transact(lambda step: step.keyspace.get(keys.META_SEATS))
        self._position = SeatPosition() if data is None else codec.decode_value(data, SeatPosition)

    @property
    def position(self) -> SeatPosition:
        """What was heard."""
        return self._position

    def held(self, step: Transaction, counter_key: bytes, holder: str) -> StoredSeat | None:
        """The seat that a holder has of a counter, as far as is known; `None` for none."""
        seat = self.known(step, counter_key, holder)
        return None if seat is None or seat.released_us is not None else seat

    def known(self, step: Transaction, counter_key: bytes, holder: str) -> StoredSeat | None:
        """The same, also of one that was given back."""
        data = step.keyspace.get(keys.seat_key(counter_key, holder))
        if data is None:
            return None
        seat = codec.decode_value(data, StoredSeat)
        return seat if seat.generation in (0, self._position.generation) else None

    def put(self, step: Transaction, counter_key: bytes, holder: str, seat: StoredSeat) -> None:
        """Set a seat."""
        step.keyspace.put(keys.seat_key(counter_key, holder), codec.encode_value(seat))

    def forget(self, step: Transaction, counter_key: bytes, holder: str) -> None:
        """A holder has no seat of a counter."""
        step.keyspace.delete(keys.seat_key(counter_key, holder))

    def take(self, seats: Sequence[Seat], version: int, epoch: str) -> None:
        """Take over what the plane has answered of seats, as of a version.

        Not where changes of later versions were heard already: one of them may concern these. Then
        they are asked for again when they are needed.
        """

        def work(step: Transaction) -> None:
            position = self._position
            is_sure = epoch == position.epoch and version >= position.version
            for seat in seats:
                key = keys.seat_key(counter_key_of(seat.counter), seat.holder)
                if seat.is_held and is_sure:
                    self._keep(step, key, seat, version)
                else:
                    step.keyspace.delete(key)

        self._store.transact(work)

    def hear(
        self,
        changes: Sequence[Seat],
        reached: SeatPosition | None,
        follows: Callable[[str], bool] | None = None,
    ) -> None:
        """Take over changes in their order. `reached`: up to where all are known with these.

        `follows`: whether seats of a company are wanted; `None`: of all.
        """

        def work(step: Transaction) -> None:
            generation = self._position.generation
            for seat in changes:
                key = keys.seat_key(counter_key_of(seat.counter), seat.holder)
                data = step.keyspace.get(key)
                known = None if data is None else codec.decode_value(data, StoredSeat)
                if known is not None and known.generation == generation:
                    if known.version >= seat.version:
                        continue
                elif seat.is_held and follows is not None and not follows(seat.counter.company):
                    continue
                if seat.is_held:
                    self._keep(step, key, seat, seat.version)
                elif known is not None:
                    step.keyspace.delete(key)
            if reached is not None:
                step.keyspace.put(keys.META_SEATS, codec.encode_value(reached))

        self._store.transact(work)
        if reached is not None:
            self._position = reached

    def begin_anew(self, epoch: str) -> None:
        """Rely on nothing that is known of seats; what follows is of an epoch."""
        position = SeatPosition(epoch, 0, self._position.generation + 1)
        data = codec.encode_value(position)
        self._store.transact(lambda step: step.keyspace.put(keys.META_SEATS, data))
        self._position = position

    def listed(
        self, step: Transaction, counter: CounterName, behind: str, most: int
    ) -> tuple[list[Seat], str]:
        """Seats of a counter that are held, by holders behind one; so many at most.

        And behind which holder it goes on; empty for the end. Few may be found where many were
        given back.
        """
        base = keys.seats_of(counter_key_of(counter))
        start = base + behind.encode() + b"\0" if behind else base
        looked_at = max(most, _LOOKED_AT_ONCE)
        pairs = self._store.engine.scan(step.keyspace, start, base + b"\xff", looked_at)
        found: list[Seat] = []
        for key, data in pairs:
            if len(found) == most:
                return found, found[-1].holder
            seat = codec.decode_value(data, StoredSeat)
            if seat.generation in (0, self._position.generation) and seat.released_us is None:
                holder = keys.holder_of(key, len(base))
                found.append(Seat(counter, holder, seat.assigned_us, seat.version))
        is_more = len(pairs) == looked_at
        return found, keys.holder_of(pairs[-1][0], len(base)) if is_more else ""

    def pool(self, step: Transaction, counter_key: bytes) -> SeatPool:
        """How many seats of a counter are held, where this process decides about them alone."""
        data = step.keyspace.get(keys.seat_pool_key(counter_key))
        return SeatPool() if data is None else codec.decode_value(data, StoredPool).pool

    def put_pool(
        self, step: Transaction, counter_key: bytes, window_end_us: int, pool: SeatPool
    ) -> None:
        """Set it."""
        data = codec.encode_value(StoredPool(window_end_us, pool))
        step.keyspace.put(keys.seat_pool_key(counter_key), data)

    def put_untold(self, step: Transaction, request: SeatRequest) -> None:
        """Remember that the plane is to be told what was done without it."""
        key = keys.untold_seat_key(request.company, request.feature, request.holder)
        step.keyspace.put(key, codec.encode_value(request))

    def is_told(self, step: Transaction, request: SeatRequest) -> None:
        """The plane knows of what was asked, or of something later: nothing is to be told."""
        key = keys.untold_seat_key(request.company, request.feature, request.holder)
        data = step.keyspace.get(key)
        if data is not None and codec.decode_value(data, SeatRequest).at_us <= request.at_us:
            step.keyspace.delete(key)

    def are_told(self, requests: Sequence[SeatRequest]) -> None:
        """The same of several, in a step of its own."""

        def work(step: Transaction) -> None:
            for request in requests:
                self.is_told(step, request)

        self._store.transact(work)

    def untold(self, most: int) -> list[SeatRequest]:
        """What the plane is to be told, so much at most."""

        def work(step: Transaction) -> list[SeatRequest]:
            stop = keys.after(keys.UNTOLD_SEATS)
            pairs = self._store.engine.scan(step.keyspace, keys.UNTOLD_SEATS, stop, most)
            return [codec.decode_value(data, SeatRequest) for _, data in pairs]

        return self._store.transact(work)

    def _keep(self, step: Transaction, key: bytes, seat: Seat, version: int) -> None:
        end_us = seat.counter.counter.window.end_us
        kept = StoredSeat(end_us, seat.assigned_us, version, self._position.generation)
        step.keyspace.put(key, codec.encode_value(kept))


def count_seats(step: Transaction, counter_key: bytes, window_end_us: int, more: int) -> None:
    """Have a counter show so many seats more, as if the plane had told."""
    known = step.counter(counter_key)
    if known is None:
        known = codec.StoredCounter(0, 0, 0, window_end_us)
    # As corrections: the plane's own part may shrink, and what it tells takes the place of this.
    others, corrections = known.others + more, known.corrections + more
    step.put_counter(counter_key, replace(known, others=others, corrections=corrections))


def named_seats(company: str, feature: str) -> CounterName:
    """The counter of a feature's named seats."""
    window = Window(LIFETIME_WINDOW.start_us, LIFETIME_WINDOW.end_us)
    return CounterName(company, feature, CounterRef(NAMED_SLOT, (), window))


def counter_key_of(name: CounterName) -> bytes:
    """The key of the counter with a name, which has no values."""
    counter = name.counter
    base = keys.counter_base(name.company, name.feature, counter.slot, ())
    return keys.counter_key(base, counter.window.start_us)
