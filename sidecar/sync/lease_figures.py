"""What is counted of leases, for metrics and status. Plain numbers, read from another thread."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.domain.leases.model import REFUSALS, LeaseStatus
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.ops.instruments import DurationHistogram
from sidecar.sync.machine.held_leases import HeldLeases

_SOON_US: Final = SECOND_US
_DENIED_MAX: Final = 10_000


class LeaseFigures:
    """Counts since the start.

    `wrong_denials`: denials for want of a lease, or of an exhausted limit, after which the plane
    granted the same counter something within a second. `refused`: answers that this sidecar holds
    what it was never granted. `failures`: exchanges that failed, or whose answer could not be.
    `held`: the leases, where there are any.
    """

    held: HeldLeases | None = None

    def __init__(self) -> None:
        self.requests = DurationHistogram(
            "tallyd_lease_request_duration_seconds",
            "Time from a request for leases to what was granted being on disk.",
        )
        self.recalls = self.wrong_denials = self.refused = self.failures = 0
        self._denied: dict[CounterName, int] = {}

    @property
    def leases_held(self) -> int:
        """Leases of which something is left."""
        return 0 if self.held is None else len(self.held)

    def denied(self, now_us: int, counters: Iterable[CounterName]) -> None:
        """Calls that waited for leases of counters go without."""
        for counter in counters:
            self._denied.pop(counter, None)
            if len(self._denied) >= _DENIED_MAX:
                del self._denied[next(iter(self._denied))]
            self._denied[counter] = now_us

    def answered(self, now_us: int, counter: CounterName, status: LeaseStatus, need: int) -> None:
        """The plane has answered a request."""
        self.refused += status in REFUSALS
        if status is LeaseStatus.GRANTED and need:
            denied_us = self._denied.pop(counter, None)
            self.wrong_denials += denied_us is not None and now_us - denied_us <= _SOON_US
