"""Back-off: how long to wait before the next try.

Exponential with full jitter (each wait is uniform between nothing and the ceiling), so that many
sidecars that lost the plane at once do not come back at once; see Brooker, "Exponential Backoff
And Jitter", 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

FIRST_US: Final = 100_000
CEILING_US: Final = 10_000_000


class Backoff:
    """Counts failures in a row. `uniform` gives a number in [0, 1)."""

    def __init__(self, uniform: Callable[[], float]) -> None:
        self._uniform = uniform
        self._failures = 0

    def failed(self) -> int:
        """Take note of a failure; microseconds to wait."""
        ceiling_us = min(CEILING_US, FIRST_US << min(self._failures, 16))
        self._failures += 1
        return int(ceiling_us * self._uniform())

    def succeeded(self) -> None:
        """Start from the shortest wait again."""
        self._failures = 0
