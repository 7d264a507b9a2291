"""What many checks cost together of each balance: its leases are asked for before the first."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from sidecar.directory.resolved import ResolvedCompany, ResolvedFeature
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.costs import cost, price_for
from sidecar.domain.credits.prices import Price
from sidecar.domain.errors import FieldError
from sidecar.domain.leases.model import LeaseNeed
from sidecar.engine.balance_usage import BalanceUsage
from sidecar.engine.plane_status import PlaneStatus
from sidecar.engine.wanted import Wanted
from sidecar.storage.transaction import Transaction

_FREE: Final = Price(0)


class _Sum:
    """What checks want of a balance whose sources are the same for all of them."""

    __slots__ = ("amount", "at_us", "company", "feature")

    def __init__(self, company: ResolvedCompany, feature: str) -> None:
        self.company = company
        self.feature = feature
        self.amount = self.at_us = 0


class CostSums:
    """Adds up what checks cost."""

    def __init__(self) -> None:
        self._sums: dict[tuple[int, str, tuple[int, int]], _Sum] = {}

    def add(self, company: ResolvedCompany, feature: ResolvedFeature, check: Wanted) -> None:
        """Add a check of a feature. One without a price is refused later, and costs nothing."""
        for each in feature.entitlement.feature.costs:
            resolved = company.feature(each.credits)
            if resolved is None or resolved.balance is None:
                continue
            try:
                amount = cost(price_for(each.table, check.dimensions), check.quantity)
            except FieldError:
                continue
            key = id(company), each.credits, resolved.balance.span(check.event_time_us)
            known = self._sums.get(key)
            if known is None:
                known = self._sums[key] = _Sum(company, each.credits)
            known.amount = min(INT64_MAX, known.amount + amount)
            known.at_us = max(known.at_us, check.event_time_us)

    def needs(
        self, transaction: Transaction, status: PlaneStatus, now_us: int
    ) -> Iterator[LeaseNeed]:
        """What leases lack for them. As much as there is: some of them may do with less."""
        for each in self._sums.values():
            usage = BalanceUsage(
                transaction,
                each.company,
                each.feature,
                _FREE,
                each.at_us,
                now_us,
                status.lease_book,
                authority=status.authority,
            )
            yield from usage.needs(each.amount, up_to=True)
