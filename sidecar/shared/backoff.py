"""Back-off: how long to wait before the next try.

Exponential with full jitter (each wait is uniform between nothing and the ceiling), so that many
sidecars that lost the plane at once do not come back at once; see Brooker, "Exponential Backoff
And Jitter", 2015.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.domain.time.units import MILLISECOND_US, SECOND_US

FIRST_US: Final = 100 * MILLISECOND_US
CEILING_US: Final = 10 * SECOND_US


class Backoff:
    """Counts failures in a row. `uniform` gives a number in [0, 1).

    `first_us`: the ceiling of the first wait; each failure doubles it, up to `ceiling_us`.
    """

    def __init__(
        self,
        uniform: Callable[[], float],
        *,
        first_us: int = FIRST_US,
        ceiling_us: int = CEILING_US,
    ) -> None:
        self._uniform = uniform
        self._first_us = first_us
        self._ceiling_us = ceiling_us
        self._failures = 0

    def failed(self) -> int:
        """Take note of a failure; microseconds to wait."""
        ceiling_us = min(self._ceiling_us, self._first_us << min(self._failures, 16))
        self._failures += 1
        return int(ceiling_us * self._uniform())

    def succeeded(self) -> None:
        """Start from the shortest wait again."""
        self._failures = 0
