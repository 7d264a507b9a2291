"""The world of leases, with balances of credits in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from sidecar.domain.catalog.model import Catalog
from sidecar.domain.limits.counters import CounterName
from tests.simulation.credits.burned import BurnBook
from tests.simulation.credits.given import GivenCredits
from tests.simulation.credits.offers import CREDITS, FIRST_AMOUNTS, OFFERS, Prices, catalog_of
from tests.simulation.leases.accounts import account_of
from tests.simulation.leases.book import Book
from tests.simulation.leases.offers import Amounts, Offer
from tests.simulation.leases.world import Kept, World


class CreditWorld(World):
    """Everything of one run. `given`: what was granted, and what usage costs.

    `returned`: by counter, the most that the plane was seen to have given back of it.
    """

    offers: tuple[Offer, ...] = OFFERS

    def __init__(self, seed: int, starts_us: int, log: Callable[[str], None] | None = None) -> None:
        self.given = GivenCredits()
        self.burned = BurnBook()
        self._prices_kept: Prices = self.given.prices
        self._voids_kept: dict[str, tuple[int, int | None]] = {}
        self.returned: Counter[CounterName] = Counter()
        super().__init__(seed, starts_us, log, FIRST_AMOUNTS)

    def catalog_of(self, amounts: Amounts) -> Catalog:
        """What is sold, with some amounts, and the prices of now."""
        return catalog_of(amounts, self.given.prices)

    def kept(self) -> Kept:
        """A copy of the plane's database, of which there is one at a time."""
        self._prices_kept = self.given.prices
        self._voids_kept = {
            each.id: (each.most, each.voided_us) for each in self.given.grants.values()
        }
        return super().kept()

    def go_back_to(self, kept: Kept) -> None:
        """Put the copy in the place of the plane's database.

        What was given back by then may have been leased, and be burned yet.
        """
        for name in self.burned.counters:
            if name.feature == CREDITS:
                self.note_returned(name)
        super().go_back_to(kept)
        self.given.price(self._prices_kept)
        for id_, (most, voided_us) in self._voids_kept.items():
            self.given.grants[id_].most, self.given.grants[id_].voided_us = most, voided_us

    def note_returned(self, name: CounterName) -> None:
        """Note what the plane has given back of a counter, but for duplicates."""
        corrections = account_of(self.plane.store, name).corrections
        back = -corrections - self.burned.counters[name].voided
        self.returned[name] = max(self.returned[name], back)

    def _new_book(self) -> Book:
        return self.burned
