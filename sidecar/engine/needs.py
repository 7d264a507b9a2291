"""What a step may lack: it says so instead of a result, and is run again once it was asked for.

Snapshots of companies, and totals of counters; leases will be another thing that a step can need.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

import msgspec

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

    def __bool__(self) -> bool:
        return bool(self.snapshots or self.counters)

    def with_more(self, more: Needs) -> Needs:
        """These and others."""
        return Needs(self.snapshots | more.snapshots, self.counters | more.counters)


COUNTERS_MAX: Final = 1_000
"""Counters that are asked for at once, at the most; about the rest it is decided without."""
NOTHING: Final = Needs()
