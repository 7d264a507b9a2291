"""Totals of single counters: those of windows that have ended are told only to whoever asks."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.domain.limits.counters import CounterName
from sidecar.storage.store import Store
from sidecar.sync.apply_totals import TotalsApplier
from sidecar.sync.plane import PlaneClient
from sidecar.sync.plane_answers import PlaneAway
from sidecar.sync.shared_fetches import SharedFetches


class CounterFetch:
    """Asks for totals while calls wait, `seconds` at most."""

    def __init__(
        self, store: Store, plane: PlaneClient, hearing: TotalsApplier, seconds: float
    ) -> None:
        self._store = store
        self._plane = plane
        self._hearing = hearing
        self._seconds = seconds
        self._fetches = SharedFetches(self._obtain, seconds)

    async def fetch(self, counters: Sequence[CounterName], seconds: float | None) -> None:
        """Get their totals, as long as the caller and the settings let it wait."""
        await self._fetches.fetch(counters, seconds)

    async def _obtain(self, counters: Sequence[CounterName]) -> bool:
        incarnation = self._store.incarnation.id
        try:
            totals = await self._plane.get_totals(incarnation, counters, self._seconds)
        except PlaneAway:
            return False
        return await self._hearing.hear(incarnation, totals)
