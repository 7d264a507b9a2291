"""Whoever buys an add-on, or more of it, may use as much as before: of any catalog that is taken.

The model knows no merging: it asks what a limit and a rate let pass of a usage, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Final

import msgspec
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from sidecar.domain.catalog.add_on_rules import add_on_problems, add_on_warnings
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Plan,
    Rate,
    RateChange,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.rules import catalog_problems
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from tests.support.build import ANCHORED_MONTH, DAY, MONTH

_CALLS: Final = Feature("calls", FeatureKind.METERED)
_PLANS: Final = ("basic", "pro")
_ADD_ONS: Final = ("a", "b", "c")
_USAGES: Final = (0, 1, 3, 6, 10, 15, 25, 40, 1_000)
_VALUES: Final = ("ci", "vip", "else")


class _World:
    """Makes catalogs whose add-ons and plans are alike, so that many are taken."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._names = {
            "m": Limit("m", random.choice([MONTH, ANCHORED_MONTH])),
            "d": Limit("d", DAY, scope=random.choice([Scope(), Scope(("user",))])),
            "s": Limit("s", MONTH, enforcement=Enforcement.SOFT),
        }

    def catalog(self) -> Catalog:
        plans = tuple(Plan(key, "", tuple(self._granted())) for key in _PLANS)
        add_ons = tuple(AddOn(key, "", *self._sold()) for key in _ADD_ONS)
        return Catalog((_CALLS,), plans, add_ons)

    def _granted(self) -> Iterator[EntitlementGrant]:
        if self.random.random() < 0.6:
            yield self._whole()

    def _sold(self) -> tuple[int, tuple[AddOnEntitlement, ...], tuple[str, ...]]:
        random = self.random
        merge = Merge.OVERRIDE if random.random() < 0.25 else Merge.INCREMENT
        changes = merge is Merge.INCREMENT and random.random() < 0.4
        grant = self._changes() if changes else self._whole()
        plans = random.choice([(), (), ("basic",), ("pro",)])
        return random.randrange(3), (AddOnEntitlement(grant, merge),), plans

    def _whole(self) -> EntitlementGrant:
        random = self.random
        names = random.sample(sorted(self._names), random.choice([0, 1, 1, 1, 2]))
        limits = tuple(self._limit(self._names[name]) for name in sorted(names))
        rates: tuple[RateLimit, ...] = ()
        if random.random() < 0.3:
            speed = random.choice([2, 5])
            rates = (RateLimit("r", Rate(speed, 1_000_000, speed)),)
        return EntitlementGrant("calls", limits=limits, rates=rates)

    def _limit(self, limit: Limit) -> Limit:
        random = self.random
        amounts: tuple[tuple[str, int | None], ...] = ()
        if limit.scope.dimensions and random.random() < 0.5:
            amounts = tuple((value, self._amount()) for value in ("ci", "vip"))
        rollover = None
        amount = self._amount()
        if amount is not None and not limit.scope.dimensions and random.random() < 0.2:
            rollover = Rollover()
        replaced = {"amount": amount, "amounts": amounts, "rollover": rollover}
        return msgspec.structs.replace(limit, **replaced)

    def _changes(self) -> EntitlementGrant:
        random = self.random
        names = random.sample(sorted(self._names), random.choice([1, 1, 2]))
        limits = tuple(LimitChange(name, self._amount(), True) for name in names)
        rates = (RateChange("r", 2, 3, True),) if random.random() < 0.2 else ()
        return EntitlementGrant("calls", limit_changes=limits, rate_changes=rates)

    def _amount(self) -> int | None:
        return self.random.choice([0, 3, 5, 10, 20, None])


def _let_pass(entitlement: Entitlement, usages: dict[str, int], value: str) -> bool:
    """Whether one more passes, where so much was used on whatever a limit counts, by its name."""
    for limit in entitlement.limits:
        amount = dict(limit.amounts).get(value, limit.amount) if limit.amounts else limit.amount
        denies = limit.enforcement is Enforcement.HARD and amount is not None
        if denies and usages[_counted(limit)] + 1 > (amount or 0):
            return False
    return all(rate.rate.burst >= usages["rate"] + 1 for rate in entitlement.rates)


def _counted(limit: Limit) -> str:
    return f"{limit.window} {limit.scope}"


def _resolved(catalog: Catalog, plan: str, held: dict[str, int]) -> Entitlement:
    segment = Segment(
        status=SubscriptionStatus.ACTIVE,
        plan=plan,
        add_ons=tuple(AddOnSubscription(key, quantity) for key, quantity in held.items()),
    )
    found = CatalogIndex(catalog, 1).resolve(segment, "calls")
    assert found is not None
    return found


@settings(max_examples=100)
@given(st.randoms(use_true_random=False))
def test_buying_more_never_lowers_what_may_be_used(random: Random) -> None:
    catalog = _World(random).catalog()
    assert [] == list(catalog_problems(catalog))
    # What is a warning may be less, for some usage.
    assume(not any(add_on_problems(catalog)) and not any(add_on_warnings(catalog)))
    for plan in _PLANS:
        sold = [each.key for each in catalog.add_ons if not each.plans or plan in each.plans]
        for bought in sold:
            for others in ([], [key for key in sold if random.random() < 0.5], sold):
                held = {key: random.randrange(1, 4) for key in others}
                more = {**held, bought: held.get(bought, 0) + random.randrange(1, 3)}
                _compare(_resolved(catalog, plan, held), _resolved(catalog, plan, more), random)


def _compare(before: Entitlement, after: Entitlement, random: Random) -> None:
    """Whatever passed before passes after, too."""
    assert after.granted or not before.granted
    if not before.granted:
        return
    counted = {_counted(limit) for limit in (*before.limits, *after.limits)}
    for _ in range(20):
        usages = {name: random.choice(_USAGES) for name in (*sorted(counted), "rate")}
        value = random.choice(_VALUES)
        if _let_pass(before, usages, value):
            assert _let_pass(after, usages, value)
