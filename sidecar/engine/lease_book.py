"""What calls and whoever gets leases tell each other: what runs low, and what the plane has said.

Plain dicts, since every call on an exact limit looks at them. Marks are put on the store's thread,
and taken on the event loop's: each of them is one operation on a dict. A mark that is lost between
two is put again by the next call. Nothing here is stored: after a start it is asked anew.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from sidecar.domain.leases.model import LeaseStatus
from sidecar.domain.limits.counters import CounterName

DUE_MAX: Final = 10_000
"""Counters that are marked at once; one past that is marked by a later call."""
TOLD_MAX: Final = 10_000
"""Counters of which it is known what the plane said; past that the oldest is forgotten."""
INEXACT_MAX: Final = 100_000
"""Companies that are known to be counted on by somebody without leases; with so many all are."""


class LeaseNews(NamedTuple):
    """What the plane said of a counter to who wanted a quantity of it, and until when it holds."""

    status: LeaseStatus
    until_us: int
    quantity: int


class LeaseBook:
    """One for a process. Keys are those of counters in the store.

    `on_due`: called for the first mark since marks were taken, on the store's thread; must be cheap
    and must not raise.
    """

    __slots__ = ("_due", "_inexact", "_told", "on_due")

    def __init__(self) -> None:
        self._due: dict[bytes, CounterName] = {}
        self._told: dict[bytes, LeaseNews] = {}
        self._inexact: set[str] = set()
        self.on_due: Callable[[], None] | None = None

    def is_due(self, key: bytes) -> bool:
        """Whether a counter is marked already."""
        return key in self._due

    def mark_due(self, key: bytes, name: CounterName) -> None:
        """Note that a counter's lease is to be refilled before it is used up."""
        due = self._due
        if len(due) >= DUE_MAX:
            return
        due[key] = name
        if len(due) == 1 and self.on_due is not None:
            self.on_due()

    def take_due(self) -> list[CounterName]:
        """What was marked since the last time, the first first."""
        due, self._due = self._due, {}
        return list(due.values())

    def note(self, key: bytes, status: LeaseStatus, until_us: int, quantity: int = 0) -> None:
        """Remember until an instant what the plane said of a counter.

        `quantity`: that somebody wanted of it; a call that wants less may find enough.
        """
        told = self._told
        told.pop(key, None)
        if len(told) >= TOLD_MAX:
            del told[next(iter(told))]
        told[key] = LeaseNews(status, until_us, quantity)

    def told(self, key: bytes, now_us: int) -> LeaseNews | None:
        """What the plane has said of a counter; `None` where it is to be asked."""
        known = self._told.get(key)
        return None if known is None or now_us >= known.until_us else known

    def note_exact(self, company: str, exact: bool) -> None:
        """Note whether everybody who counts on a company's limits knows leases."""
        if exact:
            self._inexact.discard(company)
        elif len(self._inexact) < INEXACT_MAX:
            self._inexact.add(company)

    def is_exact(self, company: str) -> bool:
        """Whether an exact limit of a company is never passed, as far as the plane has said."""
        return company not in self._inexact and len(self._inexact) < INEXACT_MAX
