"""Deliberate bugs of seats and levels: the real code with one thing wrong, each to be found.

What each does wrong is its first line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import ExitStack
from typing import Any, Final
from unittest.mock import patch

from msgspec.structs import replace

from sidecar.control.services import level_booking
from sidecar.control.services import seats as plane_seats
from sidecar.control.services.level_corrections import LevelCorrections
from sidecar.control.services.seats import SeatClerk
from sidecar.control.storage.values import CounterKey
from sidecar.domain.levels import changes as level_changes
from sidecar.domain.levels.changes import LevelAction, LevelChange
from sidecar.domain.seats import rules as seat_rules
from sidecar.domain.seats.model import SeatStatus
from sidecar.domain.seats.rules import SeatPool
from sidecar.engine import level_taking
from sidecar.engine import levels as engine_levels
from sidecar.storage import keys, level_items
from sidecar.storage.seats import Seats
from tests.simulation.kinds.generate import schedule_of
from tests.simulation.kinds.player import play
from tests.simulation.leases.mutating import Mutations


def _play_seed(seed: int, only: Collection[str]) -> str:
    return play(schedule_of(seed, only)).violation


MUTATIONS: Final = Mutations(_play_seed)


@MUTATIONS.add
def released_seat_not_freed(stack: ExitStack) -> None:
    """Who gives a seat back has none, and nobody else gets it."""
    kept = patch.object(plane_seats, "with_released", lambda pool, _: pool)
    stack.enter_context(kept)


@MUTATIONS.add
def seat_given_twice(stack: ExitStack) -> None:
    """Of two who ask at once both get the last seat: how many are held is looked up before."""
    pool = SeatClerk.__init__

    def begin(self: Any, transaction: Any, *rest: Any) -> None:
        pool(self, transaction, *rest)
        known: dict[Any, SeatPool] = {}
        look = transaction.seat_pool
        self._transaction = _Looking(transaction, lambda key: known.setdefault(key, look(key)))

    stack.enter_context(patch.object(SeatClerk, "__init__", begin))


class _Looking:
    """A transaction that answers one question otherwise."""

    def __init__(self, transaction: Any, seat_pool: Callable[[Any], SeatPool]) -> None:
        self._transaction = transaction
        self.seat_pool = seat_pool

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transaction, name)


@MUTATIONS.add
def swap_not_counted(stack: ExitStack) -> None:
    """Seats change hands as often as anybody likes."""

    def generous(pool: SeatPool, terms: Any, released_us: int | None) -> bool:
        return seat_rules.refuses(pool, replace(terms, swaps=None), released_us)

    stack.enter_context(patch.object(plane_seats, "refuses", generous))


@MUTATIONS.add
def same_holder_counted_twice(stack: ExitStack) -> None:
    """Who asks for the seat that he has is assigned another one."""
    acquired = SeatClerk._acquired

    def again(self: Any, request: Any) -> Any:
        result = acquired(self, request)
        if result.status is SeatStatus.HELD and not request.has_happened:
            (seat,) = result.seats
            key = CounterKey(request.company, request.feature, seat.counter.counter)
            pool = self._transaction.seat_pool(key)
            self._put(key, seat, replace(pool, held=pool.held + 1), 1)
        return result

    stack.enter_context(patch.object(SeatClerk, "_acquired", again))


@MUTATIONS.add
def release_not_heard(stack: ExitStack) -> None:
    """A sidecar goes on answering by a seat that was given back elsewhere."""
    hear = Seats.hear

    def deaf(self: Seats, changes: Any, reached: Any, follows: Any = None) -> None:
        hear(self, [seat for seat in changes if seat.is_held], reached, follows)

    stack.enter_context(patch.object(Seats, "hear", deaf))


@MUTATIONS.add
def done_alone_and_not_told(stack: ExitStack) -> None:
    """What a sidecar did without the plane it never tells."""
    stack.enter_context(patch.object(Seats, "put_untold", lambda *_: None))


@MUTATIONS.add
def expired_twice(stack: ExitStack) -> None:
    """What came back by itself comes back once more, under a key of its own."""
    end_item = level_taking.end_item

    def twice(transaction: Any, item: Any, *rest: Any) -> None:
        end_item(transaction, item, *rest)
        end_item(transaction, replace(item, record_id=f"{item.record_id}0"), *rest)

    stack.enter_context(patch.object(engine_levels, "end_item", twice))


@MUTATIONS.add
def set_taken_as_adjust(stack: ExitStack) -> None:
    """So much is said to be in use, and so much more is counted."""
    changed_by = level_changes.changed_by

    def adjusted(change: LevelChange, in_use: int) -> int:
        return changed_by(replace(change, action=LevelAction.ADJUST), in_use)

    stack.enter_context(patch.object(engine_levels, "changed_by", adjusted))


@MUTATIONS.add
def note_of_time_lost(stack: ExitStack) -> None:
    """An item that lives longer is not noted by its new time."""
    put_item = level_items.put_item

    def forgetful(transaction: Any, before: Any, after: Any) -> None:
        renewed = before is not None and after is not None
        put_item(transaction, before, after)
        if renewed and after.expires_us:
            transaction.keyspace.delete(keys.expiry_key(after.expires_us, after.key))

    stack.enter_context(patch.object(engine_levels, "put_item", forgetful))


@MUTATIONS.add
def taken_back_is_had_twice(stack: ExitStack) -> None:
    """What is taken back is given out again here, and counted as if it never had been."""
    count_down = level_taking.count_down

    def twice(transaction: Any, addresses: Any, quantity: int) -> None:
        count_down(transaction, addresses, 2 * quantity)

    stack.enter_context(patch.object(level_taking, "count_down", twice))
    stack.enter_context(patch.object(engine_levels, "count_down", twice))


@MUTATIONS.add
def billed_by_arrival(stack: ExitStack) -> None:
    """A change is billed by when it was accepted, rather than by when it happened."""
    book = level_booking.book_levels

    def late(transaction: Any, incarnation: str, first: int, records: Any, repeated: Any) -> Any:
        moved = [
            replace(record, event_time_us=record.accepted_us)
            if hasattr(record, "accepted_us")
            else record
            for record in records
        ]
        return book(transaction, incarnation, first, moved, repeated)

    stack.enter_context(patch("sidecar.control.services.ingest.book_levels", late))


@MUTATIONS.add
def repeated_item_taken_back_twice(stack: ExitStack) -> None:
    """An item that is at two sidecars by one key counts once, and is taken back at both."""
    stack.enter_context(patch.object(level_booking, "_first_of", lambda *_: ""))


@MUTATIONS.add
def taken_back_below_nothing(stack: ExitStack) -> None:
    """What several take back of the same makes a level less than nothing at the plane."""
    stack.enter_context(patch.object(LevelCorrections, "book", lambda *_: None))
