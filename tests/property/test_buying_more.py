"""Whoever buys an add-on, or more of it, may use as much as before: of any catalog that is taken.

The model knows no merging: it asks what a limit and a rate let pass of a usage, one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from random import Random
from typing import Final

import msgspec
from hypothesis import given, settings
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
_SSO: Final = Feature("sso", FeatureKind.BOOLEAN)
_REGION: Final = Feature("region", FeatureKind.CONFIG)
_PLANS: Final = ("basic", "pro")
_ADD_ONS: Final = ("a", "b", "c", "d", "e")
_USAGES: Final = (0, 1, 3, 6, 10, 15, 25, 40, 1_000)
_ENDLESS: Final = 10**12
_SPEEDS: Final = (2, 5, 7)
_REQUESTS: Final = ({"user": "ci"}, {"user": "vip", "model": "large"}, {"user": "x", "model": "s"})
_SECOND_US: Final = 1_000_000

_seeds = st.integers(0, 2**32 - 1)


class _World:
    """Makes catalogs whose add-ons and plans are alike, so that many are taken."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self._oddity = random.choice([0, 0, 0.05, 0.2])
        self._names = {name: self._counted(name) for name in ("d", "m", "x")}

    def catalog(self) -> Catalog:
        """A catalog; of plans there may be an earlier version, which grants something else."""
        plans = tuple(Plan(key, "", tuple(self._granted()), 1) for key in _PLANS)
        earlier = tuple(
            Plan(key, "", tuple(self._granted())) for key in _PLANS if self._chance(0.3)
        )
        add_ons = tuple(AddOn(key, "", *self._sold()) for key in _ADD_ONS)
        return Catalog((_CALLS,), plans, add_ons, plan_versions=earlier)

    def _chance(self, of_it: float) -> bool:
        return self.random.random() < of_it

    def _counted(self, name: str) -> Limit:
        """A limit of this name, without its amount."""
        random = self.random
        window = random.choice([MONTH, MONTH, ANCHORED_MONTH, DAY])
        scope = random.choice(
            [Scope(), Scope(), Scope(("user",)), Scope(match=(("model", "large"),))]
        )
        return Limit(name, window, scope=scope, enforcement=self._enforcement())

    def _enforcement(self) -> Enforcement:
        usual = self._chance(0.6)
        return Enforcement.HARD if usual else self.random.choice(list(Enforcement))

    def _granted(self) -> Iterator[EntitlementGrant]:
        if self._chance(0.6):
            yield self._whole()

    def _sold(self) -> tuple[int, tuple[AddOnEntitlement, ...], tuple[str, ...], bool]:
        random = self.random
        merge = Merge.OVERRIDE if self._chance(0.35) else Merge.INCREMENT
        changes = merge is Merge.INCREMENT and self._chance(0.4)
        grant = self._changes() if changes else self._whole()
        plans = random.choice([(), (), ("basic",), ("pro",)])
        once = merge is Merge.INCREMENT and not grant.rates and self._chance(0.2)
        if once and not changes:
            limits = tuple(limit for limit in map(_lasting, grant.limits) if limit is not None)
            grant = msgspec.structs.replace(grant, limits=limits)
        return random.randrange(3), (AddOnEntitlement(grant, merge),), plans, once

    def _whole(self) -> EntitlementGrant:
        random = self.random
        names = random.sample(sorted(self._names), random.choice([0, 1, 1, 1, 2]))
        limits = tuple(self._limit(name) for name in sorted(names))
        rates: tuple[RateLimit, ...] = ()
        if self._chance(0.3):
            speed = random.choice([2, 5])
            name = "s" if self._chance(self._oddity) else "r"
            rates = (RateLimit(name, Rate(speed, _SECOND_US, speed)),)
        return EntitlementGrant("calls", limits=limits, rates=rates)

    def _limit(self, name: str) -> Limit:
        """A limit that counts as usual under its name, or rarely otherwise."""
        random = self.random
        limit = self._names[name]
        if self._chance(self._oddity):
            limit = self._counted(name)
        if self._chance(self._oddity):
            limit = msgspec.structs.replace(limit, enforcement=self._enforcement())
        amount = self._amount()
        throttle = None
        if limit.enforcement is Enforcement.THROTTLE:
            amount, speed = amount or 5, random.choice([2, 5])
            throttle = Rate(speed, _SECOND_US, speed)
        amounts: tuple[tuple[str, int | None], ...] = ()
        if limit.scope.dimensions and self._chance(0.5):
            amounts = tuple((value, self._amount()) for value in ("ci", "vip"))
        rollover = None
        if amount is not None and not limit.scope.dimensions and self._chance(0.2):
            rollover = random.choice([Rollover(), Rollover(2, 5), Rollover(1, None, 50)])
        replaced = {"amount": amount, "amounts": amounts, "rollover": rollover}
        return msgspec.structs.replace(limit, throttle=throttle, **replaced)

    def _changes(self) -> EntitlementGrant:
        random = self.random
        names = random.sample(sorted(self._names), random.choice([1, 1, 2]))
        limits = tuple(LimitChange(name, self._amount(), True) for name in names)
        rates = (RateChange("r", 2, 3, True),) if self._chance(0.2) else ()
        return EntitlementGrant("calls", limit_changes=limits, rate_changes=rates)

    def _amount(self) -> int | None:
        return self.random.choice([0, 3, 5, 10, 20, None])


def _lasting(limit: Limit) -> Limit | None:
    """A limit as a pack may have it."""
    if limit.amount is None or limit.scope.dimensions:
        return None
    return msgspec.structs.replace(limit, rollover=None)


class _Usage:
    """What was used so far, and what is asked for now, as any limit may look at it."""

    def __init__(self, random: Random, counted: list[str]) -> None:
        self.request = random.choice(_REQUESTS)
        self.speed = random.choice(_SPEEDS)
        self.in_bucket = random.choice((0, 1, 4, 6))
        self.used = {name: random.choice(_USAGES) for name in counted}
        self.used_before = {name: random.choice((0, 4, 12)) for name in counted}

    def passes(self, entitlement: Entitlement, endless: str = "") -> bool:
        """Whether one more is allowed; at full speed where `endless` was used without end."""
        rates = [each.rate for each in entitlement.rates if each.enforcement is Enforcement.HARD]
        for limit in entitlement.limits:
            if self._is_past(limit, endless):
                denies = limit.enforcement is Enforcement.HARD
                throttles = limit.enforcement is Enforcement.THROTTLE
                if denies or (throttles and endless == _counted(limit)):
                    return False
                if throttles and limit.throttle is not None:
                    rates.append(limit.throttle)
        return all(self._flows(rate) for rate in rates)

    def overages(self, entitlement: Entitlement) -> Iterator[str]:
        """Counters on which one more is past what is included."""
        for limit in entitlement.limits:
            if limit.enforcement is Enforcement.SOFT and self._is_past(limit, ""):
                yield _counted(limit)

    def _flows(self, rate: Rate) -> bool:
        fast = rate.count * _SECOND_US >= self.speed * rate.period_us
        return fast and rate.burst > self.in_bucket

    def _is_past(self, limit: Limit, endless: str) -> bool:
        if any(self.request.get(name) != value for name, value in limit.scope.match):
            return False
        amount = limit.amount
        if limit.amounts:
            amount = dict(limit.amounts).get(self.request["user"], amount)
        if amount is None:
            return False
        name = _counted(limit)
        used = _ENDLESS if name == endless else self.used[name]
        return used + 1 > amount + limit.packs + self._carried(limit, amount)

    def _carried(self, limit: Limit, amount: int) -> int:
        if limit.rollover is None:
            return 0
        carried = max(0, amount - self.used_before[_counted(limit)])
        if limit.rollover.amount_max is not None:
            carried = min(carried, limit.rollover.amount_max)
        if limit.rollover.percent_max is not None:
            carried = min(carried, amount * limit.rollover.percent_max // 100)
        return carried


def _taken(catalog: Catalog) -> Catalog:
    """A catalog without the add-ons that are refused, or warned of: those may be less."""
    rules = (catalog_problems, add_on_problems, add_on_warnings)
    while told := next(chain.from_iterable(rule(catalog) for rule in rules), None):
        at = int(told.path[1])
        add_ons = catalog.add_ons[:at] + catalog.add_ons[at + 1 :]
        catalog = msgspec.structs.replace(catalog, add_ons=add_ons)
    return catalog


def _counted(limit: Limit) -> str:
    return f"{limit.window} {limit.scope}"


def _resolved(
    catalog: Catalog, feature: str, plan: tuple[str, int], held: dict[str, int]
) -> Entitlement:
    key, version = plan
    segment = Segment(
        status=SubscriptionStatus.ACTIVE,
        plan=key,
        plan_version=version,
        add_ons=tuple(AddOnSubscription(key, quantity) for key, quantity in held.items()),
    )
    found = CatalogIndex(catalog, 1).resolve(segment, feature)
    assert found is not None
    return found


def _bought(
    catalog: Catalog, random: Random
) -> Iterator[tuple[tuple[str, int], str, dict[str, int], dict[str, int]]]:
    """Plans with their versions, what is bought beside them, and what is held before and after."""
    for plan in (*catalog.plans, *catalog.plan_versions):
        sold = [each.key for each in catalog.add_ons if not each.plans or plan.key in each.plans]
        for bought in sold:
            for others in ([], [key for key in sold if random.random() < 0.5], sold):
                held = {key: random.randrange(1, 4) for key in others}
                more = {**held, bought: held.get(bought, 0) + random.randrange(1, 3)}
                yield (plan.key, plan.version), bought, held, more


@settings(max_examples=200)
@given(_seeds)
def test_buying_more_never_lowers_what_may_be_used(seed: int) -> None:
    random = Random(seed)
    catalog = _taken(_World(random).catalog())
    for plan, _, held, more in _bought(catalog, random):
        before = _resolved(catalog, "calls", plan, held)
        after = _resolved(catalog, "calls", plan, more)
        assert after.granted or not before.granted
        if before.granted:
            _compare(before, after, random)


_BITS: Final = tuple(EntitlementGrant("sso", enabled=on) for on in (True, False))
_VALUES: Final = tuple(EntitlementGrant("region", config_value=value) for value in "xyz")


@given(_seeds)
def test_buying_more_switches_nothing_off_and_leaves_a_value_or_gives_its_own(seed: int) -> None:
    random = Random(seed)

    def granted() -> tuple[EntitlementGrant, ...]:
        return tuple(random.choice(grants) for grants in (_VALUES, _BITS) if random.random() < 0.7)

    def plan(key: str, version: int) -> Plan:
        return Plan(key, "", granted(), version)

    add_ons = tuple(
        AddOn(
            key,
            "",
            random.randrange(2),
            tuple(AddOnEntitlement(grant, random.choice(list(Merge))) for grant in granted()),
        )
        for key in _ADD_ONS
    )
    plans = tuple(plan(key, 1) for key in _PLANS)
    catalog = Catalog((_REGION, _SSO), plans, add_ons, plan_versions=(plan("basic", 0),))
    assert [] == [*catalog_problems(catalog), *add_on_problems(catalog)]
    values = {
        (add_on.key, given.grant.config_value)
        for add_on in add_ons
        for given in add_on.entitlements
    }
    for of, bought, held, more in _bought(catalog, random):
        if _resolved(catalog, "sso", of, held).granted:
            assert _resolved(catalog, "sso", of, more).granted
        before = _resolved(catalog, "region", of, held)
        after = _resolved(catalog, "region", of, more)
        if after.config_value != before.config_value:
            assert (bought, after.config_value) in values
        assert after.granted or not before.granted


def _compare(before: Entitlement, after: Entitlement, random: Random) -> None:
    """Whatever passed before passes after, too, and is not past what is included."""
    counted = sorted({_counted(limit) for limit in (*before.limits, *after.limits)})
    for _ in range(20):
        usage = _Usage(random, counted)
        if usage.passes(before):
            assert usage.passes(after)
            if not any(usage.overages(before)):
                # What was denied or slow further on may pass as overage now, which begins sooner.
                assert not any(usage.passes(before, name) for name in usage.overages(after))
