"""Forgets what is no longer needed, a little at a time."""

from __future__ import annotations

from typing import Final

from sidecar.control.storage.port import PlaneStore
from sidecar.domain.time.units import DAY_US

IDEMPOTENCY_US: Final = 35 * DAY_US
"""How long an idempotency key is kept after its record was received."""
STEP: Final = 500


def sweep(store: PlaneStore, now_us: int) -> bool:
    """Take one small step; returns whether there may be more to do."""
    with store.write() as transaction:
        return transaction.forget_key_uses(now_us - IDEMPOTENCY_US, STEP) == STEP
