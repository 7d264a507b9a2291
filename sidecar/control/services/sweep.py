"""Forgets what is no longer needed, a little at a time; and keeps by what time that was."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.company.timeline import HISTORY_US
from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import DAY_US

IDEMPOTENCY_US: Final = 35 * DAY_US
"""How long an idempotency key is kept after its record was received."""
STEP: Final = 500
RELEASED_US: Final = 400 * DAY_US
"""How long it is known of a seat that was given back: as long as a year of swaps is, and longer."""


def last_known_time(store: PlaneStore) -> KnownTime | None:
    """What was known of the time by whoever had the database before."""
    with store.read() as transaction:
        return transaction.known_time()


def keep_time(store: PlaneStore, known: KnownTime) -> None:
    """Keep what is known of the time."""
    with store.write() as transaction:
        transaction.put_known_time(known)


def sweep(store: PlaneStore, elapsed_us: int) -> bool:
    """Take one small step; returns whether there may be more to do.

    `elapsed_us`: what has elapsed, by which keys are stamped, too: no clock makes them older.
    """
    with store.write() as transaction:
        return transaction.forget_key_uses(elapsed_us - IDEMPOTENCY_US, STEP) == STEP


def forget_seats(store: PlaneStore, now_us: int) -> bool:
    """Forget some seats that are over; whether there may be more.

    `now_us`: the time that has come for certain: what is forgotten does not come back.
    """
    with store.write() as transaction:
        ended_us, released_us = now_us - HISTORY_US, now_us - RELEASED_US
        return transaction.forget_seats(ended_us, released_us, STEP) >= STEP
