"""What was granted, voided and priced: an independent account, for who checks.

It knows what operators did, in their order, and nothing of sources, leases or counters.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from tests.simulation.credits.offers import FIRST_PRICES, USES, Prices, Use

FOREVER_US = 2**63 - 1


class Given(msgspec.Struct):
    """A one-off grant. `voided_us`: by the true time; `most`: what may be burned of it in all."""

    company: str
    id: str
    amount: int
    priority: int
    is_paid: bool
    effective_us: int
    expires_us: int
    most: int
    voided_us: int | None = None


class BurnPlace(NamedTuple):
    """A source's place in the burn order: by priority, expiry, promotional first, start, id."""

    priority: int
    expires_us: int
    is_paid: bool
    effective_us: int
    id: str


class GivenCredits:
    """Everything that was given, by its id, and each version of the prices."""

    def __init__(self) -> None:
        self.grants: dict[str, Given] = {}
        self.prices: Prices = FIRST_PRICES
        self._versions: list[Prices] = [FIRST_PRICES]

    def of(self, company: str) -> list[Given]:
        """The grants of a company, in the order in which they were given."""
        return [given for given in self.grants.values() if given.company == company]

    def price(self, prices: Prices) -> None:
        """Usage has other prices from now on."""
        self.prices = prices
        self._versions.append(prices)

    def costs(self, feature: str, model: str, quantity: int) -> set[int]:
        """What a call may have cost, by all prices that there were."""
        return {_cost(prices, feature, model, quantity) for prices in self._versions}

    def cost(self, feature: str, model: str, quantity: int) -> int:
        """What a call costs by the prices of now."""
        return _cost(self.prices, feature, model, quantity)


def _cost(prices: Prices, feature: str, model: str, quantity: int) -> int:
    """A quantity times its price, rounded up; without a price that fits, the dearest."""
    fitting = [prices[use] for use in USES if use == Use(feature, model)]
    fitting = fitting or [prices[use] for use in USES if use.feature == feature]
    return max((quantity * micro_credits + per - 1) // per for micro_credits, per in fitting)
