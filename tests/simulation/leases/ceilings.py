"""Which amounts were in force when: an independent account of what was sold, for who checks.

It knows what operators did, in their order, and nothing of timelines, segments or leases. Each
version of what is planned holds until the next one: so what was once announced, and taken back
before it came, is known to have been believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Final

import msgspec

from sidecar.domain.time.units import DAY_US
from tests.simulation.leases.offers import COMPANIES, PLANS, Amounts, Offer

FAR_US: Final = 1 << 62
LEAD_US: Final = 90_000_000
"""Longer than leases of the next window are asked for ahead of it."""


class Granted(msgspec.Struct, frozen=True):
    """An override: another amount in [from_us, until_us)."""

    company: str
    feature: str
    limit: str
    amount: int
    from_us: int
    until_us: int


class Sold(msgspec.Struct, frozen=True):
    """All that is sold and planned. `plans`: by company, since when which one, by time.

    `packs`: how many a company holds.
    """

    amounts: Amounts
    plans: dict[str, tuple[tuple[int, str], ...]]
    overrides: tuple[Granted, ...] = ()
    packs: Mapping[str, int] = msgspec.field(default_factory=dict)

    def amounts_in(self, company: str, offer: Offer, from_us: int, until_us: int) -> Iterator[int]:
        """Amounts of a limit that are in force at some time of a stretch."""
        steps = self.plans[company]
        for at, (since_us, plan) in enumerate(steps):
            ends_us = steps[at + 1][0] if at + 1 < len(steps) else FAR_US
            if since_us < until_us and ends_us > from_us:
                yield self.amounts[plan, offer.feature, offer.limit]
        for granted in self.overrides:
            is_of_it = (granted.company, granted.feature, granted.limit) == (company, *offer[:2])
            if is_of_it and granted.from_us < until_us and granted.until_us > from_us:
                yield granted.amount

    def amount_at(self, company: str, offer: Offer, at_us: int) -> int:
        """The amount of a limit at an instant; of several overrides the one granted last."""
        amount = None
        for granted in self.overrides:
            is_of_it = (granted.company, granted.feature, granted.limit) == (company, *offer[:2])
            if is_of_it and granted.from_us <= at_us < granted.until_us:
                amount = granted.amount
        if amount is not None:
            return amount
        plan = [plan for since_us, plan in self.plans[company] if since_us <= at_us][-1]
        return self.amounts[plan, offer.feature, offer.limit]


class Ceilings:
    """What was sold, version by version. Times by the plane's clock.

    `is_certain`: whether they say what was in force when. `is_within_a_day`: the clock was not set
    by more. `packs_given`: how many a company has bought in all. `removed_once`: who was not there
    for a while, or still is not.
    """

    def __init__(self, amounts: Amounts) -> None:
        plans: dict[str, tuple[tuple[int, str], ...]] = dict.fromkeys(COMPANIES, ((0, PLANS[0]),))
        self.sold = Sold(amounts, plans)
        self.is_certain = self.is_within_a_day = True
        self.packs_given: Counter[str] = Counter()
        self.removed_once: set[str] = set()
        self._versions: list[tuple[int, Sold]] = [(0, self.sold)]

    def change(self, sold: Sold, now_us: int) -> None:
        """Something else is sold, or planned, from now on."""
        if now_us < self._versions[-1][0]:
            self.is_certain = False  # the plane's clock went back: times tell nothing any more
        for company, packs in sold.packs.items():
            self.packs_given[company] += max(0, packs - self.sold.packs.get(company, 0))
        self.sold = sold
        self._versions.append((now_us, sold))

    def clock_jumped(self, by_us: int) -> None:
        """The plane's clock was set: what was in force when can't be told by its times."""
        self.is_certain = False
        self.is_within_a_day &= abs(by_us) < DAY_US

    def most(self, company: str, offer: Offer, start_us: int, end_us: int) -> int:
        """The largest amount that anybody may have gone by in a window."""
        found: list[int] = []
        for at, (_, sold) in enumerate(self._versions):
            until_us = self._versions[at + 1][0] if at + 1 < len(self._versions) else FAR_US
            # Late usage goes by what is sold at the time when it comes.
            if until_us > start_us - LEAD_US or not self.is_certain:
                stretch = (start_us, end_us) if self.is_certain else (0, FAR_US)
                found += sold.amounts_in(company, offer, *stretch)
        return max(found)

    def amounts(self, company: str, offer: Offer, from_us: int, until_us: int) -> list[int]:
        """The amounts in force from one instant to another, by what is sold now."""
        sold = self.sold
        return [sold.amount_at(company, offer, at_us) for at_us in (from_us, until_us)]

    def only_fell(self, company: str, offer: Offer) -> bool:
        """Whether no amount of a limit was ever followed by a larger one."""
        told: list[int] = []
        for since_us, sold in self._versions:
            changes = {since_us, *(at_us for at_us, _ in sold.plans[company])}
            for granted in sold.overrides:
                changes |= {granted.from_us, granted.until_us}
            told += [
                sold.amount_at(company, offer, at_us)
                for at_us in sorted(changes)
                if at_us >= since_us
            ]
        return all(later <= earlier for earlier, later in pairwise(told))

    def repriced(self, amounts: Amounts, now_us: int) -> None:
        """The catalog has other amounts."""
        self.change(msgspec.structs.replace(self.sold, amounts=amounts), now_us)

    def bought(self, company: str, packs: int, now_us: int) -> None:
        """A company holds so many packs."""
        held = {**self.sold.packs, company: packs}
        self.change(msgspec.structs.replace(self.sold, packs=held), now_us)

    def removed(self, company: str, now_us: int) -> None:
        """A company is not there any more: the default plan stands in for it."""
        self.removed_once.add(company)
        since = tuple(step for step in self.sold.plans[company] if step[0] <= now_us)
        overrides = tuple(each for each in self.sold.overrides if each.company != company)
        sold = msgspec.structs.replace(
            self.sold,
            plans={**self.sold.plans, company: (*since, (now_us, PLANS[0]))},
            overrides=overrides,
            packs={**self.sold.packs, company: 0},
        )
        self.change(sold, now_us)

    def granted(self, granted: Granted, now_us: int) -> None:
        """A company was granted another amount."""
        overrides = (*self.sold.overrides, granted)
        self.change(msgspec.structs.replace(self.sold, overrides=overrides), now_us)
