"""Forgets what is no longer needed, a little at a time; and keeps by what time that was."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.time.sure import KnownTime
from sidecar.domain.time.units import DAY_US

IDEMPOTENCY_US: Final = 35 * DAY_US
"""How long an idempotency key is kept after its record was received."""
STEP: Final = 500


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
