"""Leases without a plane: given to a store, or by a stand-in when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.model import Limit
from sidecar.domain.leases.model import Lease, LeaseNeed, LeaseStatus
from sidecar.domain.limits.counters import CounterName, CounterRef
from sidecar.engine.lease_book import LeaseBook
from sidecar.storage.codec import StoredCounter
from sidecar.storage.store import Store
from sidecar.storage.transaction import Transaction
from tests.support.build import NOW_US, counter_ref
from tests.support.stores import counter_key_of


class StandInLeases:
    """Where leases are fetched from: it grants what is needed and no more, of what there is.

    `available`: what may be granted still, of each counter alike. `says`: what is said instead of
    granting; `None`: nothing. `away`: the plane can't be asked. `asked`: what was asked for, and
    how long it might take. `granted`: called after each answer, before who asked goes on.
    """

    def __init__(self, book: LeaseBook) -> None:
        self.book = book
        self.available = INT64_MAX
        self.says: LeaseStatus | None = None
        self.away = False
        self.asked: list[tuple[dict[CounterName, int], float | None]] = []
        self.granted: Callable[[], object] = lambda: None

    def open(self, store: Store, now: Callable[[], int]) -> None:
        """Go by a store that was opened; `now`: microseconds by the plane's clock."""
        self._store, self._now = store, now

    async def fetch(self, needs: Collection[LeaseNeed], seconds: float | None) -> bool:
        self.asked.append(({need.counter: need.quantity for need in needs}, seconds))
        await asyncio.sleep(0)  # others go on before whoever asked does
        if self.away:
            return False
        granted = [self._answer(need) for need in needs]
        self.granted()
        return any(granted)

    def hold(
        self,
        of: Limit,
        granted: int,
        values: tuple[str, ...] = (),
        *,
        company: str = "acme",
        feature: str = "calls",
        refill_at: int = INT64_MAX,
        valid_until_us: int | None = None,
        amount: int | None = None,
        at_us: int = NOW_US,
    ) -> None:
        """Give the lease of a counter of a limit, up to where it is counted on; for a month."""
        ref = counter_ref(of, values, at_us=at_us)
        until_us = ref.window.end_us if valid_until_us is None else valid_until_us
        by = (of.amount or 0) if amount is None else amount
        self._put(CounterName(company, feature, ref), Lease(granted, refill_at, until_us, by))

    def _answer(self, need: LeaseNeed) -> bool:
        name, ref = need.counter, need.counter.counter
        key = counter_key_of(ref, name.company, name.feature)
        later_us = self._now() + 100_000
        if self.says is not None or need.quantity > self.available:
            said = self.says or LeaseStatus.EXHAUSTED
            self.book.note(key, said, later_us, need.quantity)
            return False
        known = self._store.transact(lambda transaction: transaction.counter(key))
        own = 0 if known is None else known.own
        held = own if known is None or known.lease is None else max(own, known.lease.granted)
        granted = max(held, own + need.quantity)
        self.available -= granted - held
        self._put(name, Lease(granted, granted, ref.window.end_us, 0))
        return True

    def _put(self, name: CounterName, lease: Lease) -> None:
        ref = name.counter
        key = counter_key_of(ref, name.company, name.feature)

        def work(transaction: Transaction) -> None:
            known = transaction.counter(key) or _uncounted(ref)
            transaction.put_counter(key, replace(known, lease=lease))

        self._store.transact(work)


def _uncounted(ref: CounterRef) -> StoredCounter:
    return StoredCounter(0, 0, 0, ref.window.end_us, ref.values)
