"""Sources of an entitlement merge as a model says that knows sums by what is counted, no more."""

from __future__ import annotations

from random import Random
from typing import Final, TypeAlias

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX, INT64_MAX, LIMITS_MAX, RATE_PRODUCT_MAX
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Merge,
    Plan,
    Scope,
)
from sidecar.domain.company.model import AddOnSubscription, Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.reasons import Reason
from sidecar.domain.time.windows import WindowSpec
from tests.support.strategies import metered_grants

_FEATURES: Final = (
    Feature("calls", FeatureKind.METERED),
    Feature("days", FeatureKind.CONFIG),
    Feature("sso", FeatureKind.BOOLEAN),
)
_ADD_ONS: Final = ("boost", "extra", "x" * IDENTIFIER_BYTES_MAX)

# What is granted, as the model sees it: sums by what is counted; `None` for unlimited.
_Limits: TypeAlias = dict[tuple[WindowSpec, Scope], int | None] | None
_Rates: TypeAlias = dict[tuple[int, Scope], tuple[int, int]] | None

_metered = metered_grants("calls")
_config = st.sampled_from("xyz").map(lambda value: EntitlementGrant("days", config_value=value))
_boolean = st.booleans().map(lambda enabled: EntitlementGrant("sso", enabled=enabled))
_grants = st.tuples(*(of | of | st.none() for of in (_metered, _config, _boolean)))


class _Case(msgspec.Struct):
    """One company's sources."""

    plan: tuple[EntitlementGrant | None, ...]
    add_ons: list[AddOn]
    bought: list[AddOnSubscription]
    overrides: tuple[EntitlementGrant | None, ...] = (None, None, None)

    def resolve(self, feature: int) -> Entitlement:
        catalog = Catalog(_FEATURES, (Plan("full", "", _present(self.plan)),), tuple(self.add_ons))
        segment = Segment(
            status=SubscriptionStatus.ACTIVE,
            plan="full",
            add_ons=tuple(self.bought),
            overrides=_present(self.overrides),
        )
        found = CatalogIndex(catalog, 1).resolve(segment, _FEATURES[feature].key)
        assert found is not None
        return found

    def ranked(self, feature: int) -> list[tuple[AddOnEntitlement, int]]:
        """What add-ons that are held say of a feature, the least first; and how many are held."""
        quantities = {bought_one.add_on: bought_one.quantity for bought_one in self.bought}
        return [
            (entry, quantities[add_on.key])
            for add_on in sorted(self.add_ons, key=lambda add_on: (add_on.rank, add_on.key))
            for entry in add_on.entitlements
            if add_on.key in quantities and entry.grant.feature == _FEATURES[feature].key
        ]


def _present(grants: tuple[EntitlementGrant | None, ...]) -> tuple[EntitlementGrant, ...]:
    return tuple(grant for grant in grants if grant is not None)


@st.composite
def _cases(draw: st.DrawFn, *, overridden: bool = False) -> _Case:
    merges = st.sampled_from(Merge)
    add_ons = [
        AddOn(
            key,
            "",
            draw(st.integers(0, 2)),
            tuple(AddOnEntitlement(grant, draw(merges)) for grant in _present(draw(_grants))),
        )
        for key in _ADD_ONS
    ]
    held = draw(st.lists(st.sampled_from([*_ADD_ONS, "unknown"]), min_size=2, unique=True))
    quantities = st.sampled_from([1, 2, 3, 1_000_000])
    return _Case(
        draw(_grants),
        add_ons,
        [AddOnSubscription(key, draw(quantities)) for key in held],
        draw(_grants) if overridden else (None, None, None),
    )


def _sums(grant: EntitlementGrant, quantity: int = 1) -> tuple[_Limits, _Rates]:
    amounts = {
        (limit.window, limit.scope): None if limit.amount is None else limit.amount * quantity
        for limit in grant.limits
    }
    speeds = {
        (limit.rate.period_us, limit.scope): (
            limit.rate.count * quantity,
            limit.rate.burst * quantity,
        )
        for limit in grant.rates
    }
    return amounts or None, speeds or None


def _model_metered(case: _Case) -> tuple[_Limits, _Rates] | None:
    said = case.ranked(0)
    replacing = [entry.grant for entry, _ in said if entry.merge is Merge.OVERRIDE]
    base = replacing[-1] if replacing else case.plan[0]
    found = None if base is None else _sums(base)
    for entry, quantity in said:
        if entry.merge is Merge.OVERRIDE:
            continue
        amounts, speeds = _sums(entry.grant, quantity)
        if found is None:
            found = amounts, speeds
            continue
        limits, rates = found
        if amounts is None and speeds is None:
            limits = None
        if limits is not None:
            for counted, amount in (amounts or {}).items():
                before = limits.get(counted, 0)
                limits[counted] = None if amount is None or before is None else before + amount
        if rates is not None:
            for measured, (count, burst) in (speeds or {}).items():
                before_count, before_burst = rates.get(measured, (0, 0))
                rates[measured] = before_count + count, before_burst + burst
        found = limits, rates
    return found


def _bounded(found: tuple[_Limits, _Rates]) -> tuple[_Limits, _Rates]:
    limits, rates = found
    return limits and {
        counted: None if amount is None else min(amount, INT64_MAX)
        for counted, amount in limits.items()
    }, rates and {
        (period_us, scope): (
            min(count, RATE_PRODUCT_MAX // period_us),
            min(burst, RATE_PRODUCT_MAX // period_us),
        )
        for (period_us, scope), (count, burst) in rates.items()
    }


@given(_cases())
def test_amounts_and_rates_are_summed_by_what_they_count(case: _Case) -> None:
    found = case.resolve(0)
    expected = _model_metered(case)
    assert (expected is not None) == found.granted == found.entitled
    if expected is not None:
        merged = EntitlementGrant("calls", limits=found.limits, rates=found.rates)
        assert _bounded(expected) == _sums(merged)


@given(_cases())
def test_what_is_merged_keeps_to_the_rules_of_a_grant(case: _Case) -> None:
    found = case.resolve(0)
    names = [*(limit.id for limit in found.limits), *(rate.id for rate in found.rates)]
    assert len(names) == len(set(names))
    assert all(0 < len(name.encode()) <= IDENTIFIER_BYTES_MAX for name in names)
    assert len(found.limits) <= LIMITS_MAX
    assert len(found.rates) <= LIMITS_MAX
    assert all(limit.amount is not None or limit.rollover is None for limit in found.limits)


@given(_cases(overridden=True), st.randoms(use_true_random=False))
def test_the_order_in_which_add_ons_are_held_does_not_matter(case: _Case, random: Random) -> None:
    before = [case.resolve(feature) for feature in range(3)]
    random.shuffle(case.bought)
    random.shuffle(case.add_ons)
    assert before == [case.resolve(feature) for feature in range(3)]


@given(_cases())
def test_a_value_is_that_of_the_highest_rank_and_a_switch_is_on_for_any_source(
    case: _Case,
) -> None:
    sources = [[case.plan[at], *(said.grant for said, _ in case.ranked(at))] for at in (1, 2)]
    values = [grant.config_value for grant in sources[0] if grant is not None]
    assert (values[-1] if values else "") == case.resolve(1).config_value
    on = any(grant is not None and grant.enabled for grant in sources[1])
    assert (on, on) == (case.resolve(2).entitled, case.resolve(2).granted)


@given(_cases(overridden=True))
def test_an_override_replaces_everything_and_nothing_else(case: _Case) -> None:
    without = _Case(case.plan, case.add_ons, case.bought)
    for at, grant in enumerate(case.overrides):
        feature = _FEATURES[at]
        if grant is None:
            assert without.resolve(at) == case.resolve(at)
        elif feature.kind is FeatureKind.BOOLEAN and not grant.enabled:
            assert Entitlement(feature, Reason.NOT_ENTITLED) == case.resolve(at)
        else:
            expected = Entitlement(
                feature, Reason.ALLOWED, grant.config_value, grant.limits, grant.rates, granted=True
            )
            assert expected == case.resolve(at)
