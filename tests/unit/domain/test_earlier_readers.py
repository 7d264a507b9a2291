"""What sidecars of before are told of changes, of several overrides at once and of amounts."""

from __future__ import annotations

from random import Random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sidecar.domain.bounds import BEGINNING_US, FOREVER_US
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    LimitChange,
    Plan,
    RateChange,
    Scope,
)
from sidecar.domain.company.model import CompanySnapshot, OverrideSpan, Span
from sidecar.domain.company.spans import arranged, in_force
from sidecar.domain.entitlement.earlier_readers import (
    catalog_without_changes,
    snapshot_without_changes,
)
from tests.support.build import DAY, limit, metered

MORE = EntitlementGrant("calls", limit_changes=(LimitChange("monthly", 100, adds=True),))
FASTER = EntitlementGrant("calls", rate_changes=(RateChange("burst", 5, 5),))
PER_USER = Limit("per_user", DAY, 100, scope=Scope(("user",)), amounts=(("ci", 7), ("vip", None)))


def test_add_ons_that_change_are_left_out_and_others_stay() -> None:
    whole = AddOnEntitlement(metered("tokens", limit()))
    add_on = AddOn("boost", "", 0, (AddOnEntitlement(MORE), AddOnEntitlement(FASTER), whole))
    (told,) = catalog_without_changes(Catalog(add_ons=(add_on,))).add_ons
    assert msgspec.structs.replace(add_on, entitlements=(whole,)) == told


def test_a_pack_is_left_out_which_would_be_given_in_each_window() -> None:
    whole = AddOnEntitlement(metered("tokens", limit()))
    (told,) = catalog_without_changes(
        Catalog(add_ons=(AddOn("pack", entitlements=(whole,), once=True),))
    ).add_ons
    assert () == told.entitlements


def test_of_amounts_by_value_the_least_is_told() -> None:
    plan = Plan("pro", "", (metered("calls", PER_USER, limit()),))
    told = catalog_without_changes(Catalog(plans=(plan,), plan_versions=(plan,)))
    expected = metered("calls", Limit("per_user", DAY, 7, scope=Scope(("user",))), limit())
    assert [(expected,)] * 2 == [each.entitlements for each in (*told.plans, *told.plan_versions)]


def test_a_limit_on_any_of_several_values_is_told_as_one_for_each() -> None:
    match = (("model", "large"), ("model", "small"), ("zone", "eu"))
    several = Limit("l", DAY, 5, scope=Scope(("user",), match))
    plan = Plan("pro", "", (metered("calls", several, limit("l.2")),))
    (told,) = catalog_without_changes(Catalog(plans=(plan,))).plans
    assert [
        ("l", (("model", "large"), ("zone", "eu"))),
        ("l.3", (("model", "small"), ("zone", "eu"))),
        ("l.2", ()),
    ] == [(each.id, each.scope.match) for each in told.entitlements[0].limits]


def test_a_catalog_that_has_nothing_of_it_is_told_as_it_is() -> None:
    plan = Plan("pro", "", (metered("calls", limit()),))
    catalog = Catalog(plans=(plan,), add_ons=(AddOn("boost"),))
    assert catalog == catalog_without_changes(catalog)


def test_overrides_that_change_are_left_out() -> None:
    held = (Span(MORE), Span(metered("tokens", limit())))
    told = snapshot_without_changes(CompanySnapshot("acme", 1, overrides=held))
    assert held[1:] == told.overrides


@st.composite
def _overrides(draw: st.DrawFn) -> tuple[OverrideSpan, ...]:
    """Overrides of two features that may be in force at once, told apart by their ids."""
    random = Random(draw(st.integers(0, 1 << 30)))
    spans = []
    for at in range(draw(st.integers(0, 8))):
        grant = metered(random.choice(["calls", "tokens"]), limit(amount=random.randrange(3)))
        content = msgspec.structs.replace(grant, id=f"{at}" if at else "")
        if random.random() < 0.2:
            content = msgspec.structs.replace(MORE, id=f"change {at}")
        from_us, until_us = sorted(random.sample([BEGINNING_US, 1, 2, 3, 4, 5, FOREVER_US], 2))
        spans.append(Span(content, from_us, until_us))
    return arranged(spans)


@given(_overrides())
def test_at_each_instant_the_last_override_that_replaces_is_told(
    overrides: tuple[OverrideSpan, ...],
) -> None:
    told = snapshot_without_changes(CompanySnapshot("acme", 1, overrides=overrides)).overrides
    for at_us in range(7):
        last = {grant.feature: grant for grant in in_force(overrides, at_us) if not grant.is_change}
        assert last == {grant.feature: grant for grant in in_force(told, at_us)}
        assert len(last) == len(in_force(told, at_us))
