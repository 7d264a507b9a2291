"""What the connections of a server share: its methods, its bounds and its totals. No I/O."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

from sidecar.front.bounds import Bounds
from sidecar.front.errors import Code, Status
from sidecar.front.machine.timers import Timers
from sidecar.front.methods import Method


def unknown_error(_error: Exception) -> Status:
    """The outcome of a behaviour that raised: nothing of the error is told."""
    return Status(Code.UNKNOWN, "internal error")


def uncounted(_kind: str) -> None:
    """Count no refusals."""


class Shared:
    """State of a server that all of its connections use.

    calls: under way. streams: open, usual calls aside. received_bytes: not taken by a behaviour
    yet. queued_bytes: of answers that wait for a peer. stopping: there are to be no new
    connections. clock: seconds, only growing.
    """

    __slots__ = (
        "bounds",
        "calls",
        "clock",
        "methods",
        "queued_bytes",
        "received_bytes",
        "refused",
        "status_of",
        "stopping",
        "streams",
        "timers",
    )

    def __init__(
        self,
        methods: Mapping[str, Method],
        bounds: Bounds,
        *,
        status_of: Callable[[Exception], Status] = unknown_error,
        refused: Callable[[str], None] = uncounted,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.methods: Final = {path.encode(): method for path, method in methods.items()}
        self.bounds: Final = bounds
        self.status_of: Final = status_of
        self.refused: Final = refused
        self.clock: Final = clock
        self.timers: Final = Timers()
        self.calls = 0
        self.streams = 0
        self.stopping = False
        self.received_bytes = 0
        self.queued_bytes = 0
