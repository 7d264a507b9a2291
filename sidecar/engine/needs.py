"""What a step may lack: it says so instead of a result, and is run again once it was asked for.

Snapshots of companies, totals of counters, and leases.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import msgspec

from sidecar.domain.leases.model import LeaseNeed
from sidecar.domain.limits.counters import CounterName


class Needs(msgspec.Struct, frozen=True):
    """What the control plane has to be asked for first.

    Nothing was written, and nothing is decided. A step that runs again is told what was `asked`
    for: of that it makes do with what there is, since more cannot be had.
    """

    snapshots: Set[str] = frozenset()
    """Ids of companies."""
    counters: Set[CounterName] = frozenset()
    """Counters of which nothing was heard, or not lately enough."""
    leases: Set[LeaseNeed] = frozenset()
    """What a call waits for of leases of counters; of what was asked for, what can't be had."""
    lease_tries: int = 0
    """How often leases were asked for."""

    def __bool__(self) -> bool:
        return bool(self.snapshots or self.counters or self.leases)

    def with_more(self, more: Needs) -> Needs:
        """These and others."""
        return Needs(
            self.snapshots | more.snapshots,
            self.counters | more.counters,
            self.leases | more.leases,
            max(self.lease_tries, more.lease_tries),
        )

    def without_leases(self) -> Needs:
        """The same where no lease can be asked for any more."""
        return msgspec.structs.replace(self, lease_tries=LEASE_TRIES_MAX)


COUNTERS_MAX: Final = 1_000
"""Counters that are asked for at once, at the most; about the rest it is decided without."""
LEASE_TRIES_MAX: Final = 8
"""How often a call asks for leases: others may spend what was granted before it is decided."""
NOTHING: Final = Needs()
