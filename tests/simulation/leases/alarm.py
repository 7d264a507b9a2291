"""One instant at which a process wants to be woken, of all that it was told."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.leases.sidecars import Process


class Alarm:
    """Wakes once, at the earliest instant that was asked for."""

    def __init__(self, process: Process, wake: Callable[[], None]) -> None:
        self._process = process
        self._wake = wake
        self._at_us: int | None = None

    def set(self, at_us: int) -> None:
        """Wake at an instant by the process' ticks, unless it is to wake before that."""
        if self._at_us is not None and self._at_us <= at_us:
            return
        self._at_us = at_us

        def wake() -> None:
            if self._at_us == at_us:
                self._at_us = None
            self._wake()

        self._process.after(max(1, at_us - self._process.ticks_us), wake)
