"""What sidecars of before are told of add-ons that change, packs, amounts and several values."""

from __future__ import annotations

import msgspec
import pytest

from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Limit,
    LimitChange,
    Plan,
    Rate,
    RateChange,
    RateLimit,
    Scope,
)
from sidecar.domain.entitlement.earlier_readers import catalog_without_changes, plain_grant
from sidecar.domain.time.units import SECOND_US
from tests.support.build import DAY, limit, metered

MORE = EntitlementGrant("calls", limit_changes=(LimitChange("monthly", 100, adds=True),))
FASTER = EntitlementGrant("calls", rate_changes=(RateChange("burst", 5, 5),))
SMALL_OR_LARGE = (("model", "large"), ("model", "small"))
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


def test_a_limit_on_any_of_several_values_is_told_as_one_for_each_with_its_share() -> None:
    match = (("model", "large"), ("model", "small"), ("zone", "eu"))
    several = Limit("l", DAY, 5, scope=Scope(("user",), match))
    plan = Plan("pro", "", (metered("calls", several, limit("l.2")),))
    (told,) = catalog_without_changes(Catalog(plans=(plan,))).plans
    assert [
        ("l", 2, (("model", "large"), ("zone", "eu"))),
        ("l.3", 2, (("model", "small"), ("zone", "eu"))),
        ("l.2", 100, ()),
    ] == [(each.id, each.amount, each.scope.match) for each in told.entitlements[0].limits]


@pytest.mark.parametrize(
    ("given", "told"),
    [((30, 30), (15, 15)), ((31, 9), (15, 4)), ((1, 1), (1, 1)), ((2, 1), (1, 1))],
)
def test_each_of_two_values_has_half_of_a_rate_and_at_least_one(
    given: tuple[int, int], told: tuple[int, int]
) -> None:
    rate = RateLimit("r", Rate(given[0], SECOND_US, given[1]), scope=Scope((), SMALL_OR_LARGE))
    plain = plain_grant(EntitlementGrant("calls", rates=(rate,)))
    assert [(told, "large"), (told, "small")] == [
        ((each.rate.count, each.rate.burst), each.scope.match[0][1]) for each in plain.rates
    ]


@pytest.mark.parametrize("amount", [0, 1, 2, 7, 30, None])
def test_the_shares_of_values_are_never_more_than_the_limit(amount: int | None) -> None:
    several = Limit("l", DAY, amount, scope=Scope((), SMALL_OR_LARGE))
    told = plain_grant(metered("calls", several)).limits
    assert 2 == len(told)
    if amount is None:
        assert {None} == {each.amount for each in told}
    else:
        assert amount >= sum(each.amount or 0 for each in told)
        assert all(each.amount is not None for each in told)


def test_values_that_are_too_many_are_told_as_one_limit_on_all_usage() -> None:
    values = [str(number) for number in range(10, 24)]
    match = tuple((name, value) for name in ("model", "place") for value in values)
    several = Limit("l", DAY, 5, scope=Scope(("user",), (*match, ("zone", "eu"))))
    (told,) = plain_grant(metered("calls", several)).limits
    assert (5, Scope(("user",), (("zone", "eu"),))) == (told.amount, told.scope)


def test_a_catalog_that_has_nothing_of_it_is_told_as_it_is() -> None:
    plan = Plan("pro", "", (metered("calls", limit()),))
    catalog = Catalog(plans=(plan,), add_ons=(AddOn("boost"),))
    assert catalog == catalog_without_changes(catalog)
