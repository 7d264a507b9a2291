"""The part of the port that is about seats; see `port.py` for what holds for all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from sidecar.control.storage.values import CounterKey
from sidecar.domain.seats.model import Seat
from sidecar.domain.seats.rules import SeatPool


class SeatReads(Protocol):
    """Questions about seats. Keys are those of counters without values."""

    def seat(self, key: CounterKey, holder: str) -> Seat | None:
        """What is known of a holder: a seat that is held, or was given back."""
        ...

    def seat_pool(self, key: CounterKey) -> SeatPool:
        """How many seats of a counter are held."""
        ...

    def named_seats_of(self, company: str, feature: str, holder: str) -> list[Seat]:
        """Seats of windows without an end that a holder has."""
        ...

    def seats_after(self, key: CounterKey, holder: str, limit: int) -> list[Seat]:
        """Seats of a counter that are held, by holders behind one, in their order."""
        ...

    def seat_changes(self, version: int, limit: int) -> Sequence[Seat]:
        """Last changes of seats after a version, in that order: of each version all or none."""
        ...

    def seats_forgotten_version(self) -> int:
        """Version up to which seats that were given back may have been forgotten."""
        ...

    def seats_held(self, limit: int) -> list[tuple[str, int]]:
        """How many seats are held of features' windows that have not ended, the most first."""
        ...


class SeatWrites(SeatReads, Protocol):
    """Changes of seats."""

    def put_seats(self, seats: Iterable[Seat]) -> None:
        """Create or replace seats: same counter and holder."""
        ...

    def put_seat_pool(self, key: CounterKey, pool: SeatPool) -> None:
        """Replace what is known of a counter's seats."""
        ...

    def forget_seats(self, ended_us: int, released_us: int, limit: int) -> int:
        """Forget seats of windows that ended, and those given back, before instants.

        At most so many of each; returns how many.
        """
        ...
