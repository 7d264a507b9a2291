"""Versions of plans: what makes one, which are kept, and what companies get by theirs."""

from __future__ import annotations

import pytest

from sidecar.domain.bounds import PLAN_VERSION_NEWEST, PLAN_VERSIONS_MAX
from sidecar.domain.catalog.model import (
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.catalog.plan_terms import ExistingCompanies, Grace, Trial
from sidecar.domain.catalog.version_rules import versions_problems
from sidecar.domain.catalog.versions import (
    new_versions,
    with_versions,
    without_versions,
)
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.counted_limits import CountedLimits
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit

KEEP, NOW = ExistingCompanies.KEEP, ExistingCompanies.MOVE_NOW
LATER = ExistingCompanies.MOVE_AT_PERIOD_END
TOKENS = Feature("tokens", FeatureKind.METERED)


def plan(amount: int, existing: ExistingCompanies = NOW, version: int = 0) -> Plan:
    limit = Limit("monthly", WindowSpec(WindowUnit.MONTH), amount)
    grant = EntitlementGrant("tokens", limits=(limit,))
    return Plan("pro", entitlements=(grant,), version=version, existing=existing)


def applied(*plans: Plan) -> Catalog:
    """What comes of applying one after the other."""
    catalog = Catalog()
    for each in plans:
        catalog = with_versions(Catalog((TOKENS,), (each,)), catalog)
    return catalog


def kept(catalog: Catalog) -> list[tuple[int, int | None]]:
    """Earlier versions with their amounts."""
    return [(each.version, each.entitlements[0].limits[0].amount) for each in catalog.plan_versions]


def amount_of(catalog: Catalog, version: int) -> int | None:
    """What a company with a version of the plan may use."""
    index = CatalogIndex(catalog, 1)
    segment = Segment(status=SubscriptionStatus.ACTIVE, plan="pro", plan_version=version)
    entitlement = index.resolve(segment, "tokens")
    assert entitlement is not None
    return entitlement.limits[0].amount


def test_a_new_plan_has_version_0_whatever_is_said() -> None:
    assert applied(plan(5, version=7)).plans[0].version == 0


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(Plan("pro", "Pro", plan(5).entitlements), id="name"),
        pytest.param(plan(5, KEEP), id="existing"),
        pytest.param(Plan("pro", "", plan(5).entitlements, trial=Trial(DAY_US)), id="trial"),
        pytest.param(Plan("pro", "", plan(5).entitlements, grace=Grace(DAY_US)), id="grace"),
    ],
)
def test_what_it_grants_alone_makes_a_version(other: Plan) -> None:
    catalog = applied(plan(5), other)
    assert (catalog.plans[0].version, catalog.plan_versions) == (0, ())
    assert new_versions(catalog, applied(plan(5))) == []


@pytest.mark.parametrize(
    ("changes", "versions"),
    [
        pytest.param([plan(5), plan(6, KEEP)], [(0, 5)], id="keep"),
        pytest.param([plan(5), plan(6, KEEP), plan(7, KEEP)], [(0, 5), (1, 6)], id="keep_twice"),
        pytest.param([plan(5), plan(6)], [], id="move_now"),
        pytest.param([plan(5), plan(6, KEEP), plan(7)], [], id="move_now_moves_all"),
        pytest.param([plan(5), plan(6, KEEP), plan(6)], [(0, 5)], id="no_change_moves_nobody"),
        pytest.param([plan(5), plan(6, LATER)], [(0, 5)], id="move_at_period_end"),
        pytest.param([plan(5), plan(6, KEEP), plan(5, KEEP)], [(0, 5), (1, 6)], id="and_back"),
    ],
)
def test_earlier_versions_are_kept_as_the_change_says(
    changes: list[Plan], versions: list[tuple[int, int]]
) -> None:
    assert kept(applied(*changes)) == versions


def test_applying_the_same_again_changes_nothing() -> None:
    catalog = applied(plan(5), plan(6, KEEP), plan(7, LATER))
    assert with_versions(Catalog((TOKENS,), (plan(7, LATER),)), catalog) == catalog


def test_a_plan_that_is_removed_leaves_no_version() -> None:
    assert with_versions(Catalog((TOKENS,)), applied(plan(5), plan(6, KEEP))).plan_versions == ()


@pytest.mark.parametrize(
    ("version", "amount"),
    [(0, 5), (1, 7), (2, 7), (3, 9), (4, 9), (PLAN_VERSION_NEWEST, 9)],
)
def test_a_company_gets_the_earliest_version_kept_that_is_not_before_its_own(
    version: int, amount: int
) -> None:
    catalog = applied(plan(5), plan(6, KEEP), plan(7, KEEP), plan(9, KEEP))
    catalog = without_versions(catalog, {("pro", 1)})
    assert kept(catalog) == [(0, 5), (2, 7)]
    assert amount_of(catalog, version) == amount


def test_usage_counts_on_limits_of_earlier_versions_too() -> None:
    other = Limit("daily", WindowSpec(WindowUnit.DAY), 3)
    daily = Plan("pro", entitlements=(EntitlementGrant("tokens", limits=(other,)),))
    catalog = applied(daily, plan(5, KEEP))
    index = CatalogIndex(catalog, 1)
    now = index.resolve(Segment(plan="pro", plan_version=1), "tokens")
    then = index.resolve(Segment(plan="pro"), "tokens")
    assert now is not None
    assert then is not None
    assert [limit.id for limit in index.also_counted(now)] == ["daily"]
    assert [limit.id for limit in index.also_counted(then)] == ["monthly"]
    assert CountedLimits(catalog).grown_since(CountedLimits(Catalog((TOKENS,), catalog.plans))) == {
        "tokens"
    }


def test_more_earlier_versions_than_are_kept_are_refused_with_what_to_do() -> None:
    most = applied(*(plan(amount, KEEP) for amount in range(PLAN_VERSIONS_MAX + 1)))
    more = with_versions(Catalog((TOKENS,), (plan(99, KEEP),)), most)
    assert list(versions_problems(most, Catalog())) == []
    assert list(versions_problems(more, most)) == [
        (
            ("plans", 0, "existing"),
            (
                "companies keep 20 earlier versions of plan 'pro' already, at most are 20: "
                "move them with this change (existing: move now, or move at period end), "
                "or one by one before it (tallyd subscription change COMPANY --plan pro)"
            ),
        )
    ]
