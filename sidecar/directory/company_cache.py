"""Which companies the store holds on demand: a bound on them, least recently used first out.

The order is kept in memory alone. After a start it is that of the ids, until companies are used.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Container, Sequence
from typing import Final

from sidecar.domain.company.model import CompanySnapshot
from sidecar.storage.snapshots import Snapshots

_PAGE = 1_000
_EVICTED_AT_ONCE: Final = 100


class CompanyCache:
    """At most `companies_max` companies, and beyond it those that are in use or needed.

    In use is what the directory has in memory; what it has not rests, in the order of last use.
    """

    def __init__(self, snapshots: Snapshots, companies_max: int) -> None:
        self._companies_max = companies_max
        self._resting: OrderedDict[str, None] = OrderedDict()
        after = ""
        while page := snapshots.company_ids(after, _PAGE):
            self._resting.update(dict.fromkeys(page))
            after = page[-1]
        self._held = set(self._resting)

    def pin(self, company: str) -> None:
        """A company is in use from now on."""
        self._resting.pop(company, None)

    def unpin(self, company: str) -> None:
        """A company was in use until now."""
        if company in self._held:
            self._resting[company] = None
            self._resting.move_to_end(company)

    def to_evict(self, arriving: Sequence[CompanySnapshot], *needed: Container[str]) -> list[str]:
        """Companies that have to go, for others that have arrived; a bounded number of them.

        None of them has just arrived, is in use, or is needed.
        """
        excess = min(_EVICTED_AT_ONCE, len(self._held) - self._companies_max)
        if excess <= 0:
            return []
        arrivals = {snapshot.company for snapshot in arriving}
        gone: list[str] = []
        for company in self._resting:
            if len(gone) >= excess:
                break
            if company not in arrivals and not any(company in names for names in needed):
                gone.append(company)
        return gone

    def applied(self, arrived: Sequence[CompanySnapshot], removed: Sequence[str]) -> None:
        """Companies have been written to the store, and removed from it."""
        for snapshot in arrived:
            if snapshot.company not in self._held:
                self._held.add(snapshot.company)
                self._resting[snapshot.company] = None
        for company in removed:
            self._held.discard(company)
            self._resting.pop(company, None)
