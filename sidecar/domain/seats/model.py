"""Seats as sidecar and control plane tell each other of them. Values only."""

from __future__ import annotations

import enum

import msgspec

from sidecar.domain.limits.counters import CounterName, CounterTotal
from sidecar.domain.limits.reasons import Reason


class SeatStatus(enum.IntEnum):
    """What became of a request about a seat. Numbers as in the API."""

    ASSIGNED = 1
    """The holder has a seat now, and had none before."""
    HELD = 2
    """The holder had a seat already."""
    EXHAUSTED = 3
    """No seat is free, or no more may be reassigned in the window: nothing has changed."""
    DENIED = 4
    """The company may not use the feature now: nothing has changed."""
    RELEASED = 5
    """The seat was given back."""
    NOT_HELD = 6
    """The holder had no seat that could be given back."""


class SeatRequest(msgspec.Struct, frozen=True):
    """Asks for a seat for a holder at an instant, or gives it back (`is_release`).

    `has_happened`: it was done by a sidecar while the plane was away, so it is taken, whatever
    limits say.
    """

    company: str
    feature: str
    holder: str
    at_us: int
    is_release: bool = False
    has_happened: bool = False


class Seat(msgspec.Struct, frozen=True):
    """A seat that is held, or was given back at `released_us`.

    `counter`: what it is counted on, without values. `version`: of its last change.
    """

    counter: CounterName
    holder: str
    assigned_us: int
    version: int = 0
    released_us: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether it is, and was not given back."""
        return self.released_us is None


class SeatResult(msgspec.Struct, frozen=True):
    """What became of a request.

    `seats`: those that the holder has of it. `totals`: of the counters concerned. `reason`: why
    it was DENIED. `retry_at_us`: EXHAUSTED, when seats may be had again; `None` where no such
    instant is known.
    """

    status: SeatStatus
    seats: tuple[Seat, ...] = ()
    totals: tuple[CounterTotal, ...] = ()
    reason: Reason = Reason.ALLOWED
    retry_at_us: int | None = None


class SeatsTold(msgspec.Struct, frozen=True):
    """Changes of seats, in the order of their versions, up to a version of the plane's.

    `is_anew`: what was known before is not to be relied on, and what follows is told from the
    start. `epoch`: of the plane's state.
    """

    epoch: str
    changes: tuple[Seat, ...]
    until_version: int
    is_anew: bool = False
