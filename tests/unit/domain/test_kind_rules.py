"""What may be said of features of each kind, and what is granted of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.kind_rules import kind_changes_problems
from sidecar.domain.catalog.kinds import (
    FeatureCost,
    LevelBilling,
    LevelMeasure,
    OverdraftChange,
    Swaps,
)
from sidecar.domain.catalog.model import (
    Across,
    AddOn,
    AddOnEntitlement,
    Catalog,
    Dimension,
    Enforcement,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    LimitChange,
    Merge,
    Plan,
    RateLimit,
    Rollover,
    Scope,
)
from sidecar.domain.catalog.rules import problems
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.time.units import DAY_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from sidecar.domain.validation import field_path_text
from tests.support.build import MONTH, TEN_A_SECOND

EVER: Final = WindowSpec(WindowUnit.LIFETIME)
NOW: Final = WindowSpec(WindowUnit.LEVEL)
DAILY: Final = WindowSpec(WindowUnit.DAY)
REQUEST: Final = WindowSpec(WindowUnit.REQUEST)
MODEL: Final = Dimension("model", required=True, values=("small", "large"))
TOKENS: Final = Feature("tokens", FeatureKind.METERED, dimensions=(MODEL, Dimension("user")))
BALANCES: Final = tuple(Feature(key, FeatureKind.CREDITS) for key in ("gold", "money"))
SEATS: Final = Feature("seats", FeatureKind.SEATS)
JOBS: Final = Feature("jobs", FeatureKind.LEVEL, dimensions=(Dimension("user"),))
MONTHLY: Final = Limit("monthly", MONTH, 100)
BY_MODEL: Final = CostTable(None, "model", {"small": Price(1), "large": Price(10)})


def told(catalog: Catalog) -> list[str]:
    return [f"{field_path_text(each.path)}: {each.message}" for each in problems(catalog)]


def sold(feature: Feature, grant: EntitlementGrant, *add_ons: AddOn) -> Catalog:
    others = [each for each in (TOKENS, *BALANCES, SEATS, JOBS) if each.key != feature.key]
    return Catalog((feature, *others), (Plan("pro", "", (grant,)),), add_ons)


def costing(*tables: tuple[str, CostTable]) -> Catalog:
    costs = tuple(FeatureCost(key, table) for key, table in tables)
    feature = replace(TOKENS, costs=costs)
    return sold(feature, EntitlementGrant("tokens"))


@pytest.mark.parametrize(
    "catalog",
    [
        costing(("money", BY_MODEL)),
        costing(
            ("gold", CostTable(Price(1, 3))),
            ("money", CostTable(Price(0), "model", {"small": Price(2)})),
        ),
        sold(
            BALANCES[1],
            EntitlementGrant(
                "money",
                limits=(
                    MONTHLY,
                    Limit("bought", EVER, 0, priority=1000, credit_kind=GrantKind.PAID),
                ),
                overdraft=INT64_MAX,
            ),
        ),
        sold(
            BALANCES[1], EntitlementGrant("money", limits=(replace(MONTHLY, rollover=Rollover(2)),))
        ),
        sold(SEATS, EntitlementGrant("seats")),
        sold(
            SEATS,
            EntitlementGrant(
                "seats",
                limits=(
                    Limit("named", EVER, None, Enforcement.SOFT, swaps=Swaps(0, MONTH)),
                    MONTHLY,
                ),
            ),
        ),
        sold(
            JOBS,
            EntitlementGrant(
                "jobs",
                limits=(
                    Limit("all", NOW, 3),
                    Limit("each", NOW, 1, Enforcement.SHADOW, Scope(("user",))),
                ),
            ),
        ),
        sold(
            replace(JOBS, ttl_max_us=DAY_US, billing=LevelBilling(LevelMeasure.PEAK, MONTH)),
            EntitlementGrant("jobs"),
        ),
    ],
)
def test_what_may_be_said(catalog: Catalog) -> None:
    assert [] == told(catalog)


@pytest.mark.parametrize(
    ("feature", "expected"),
    [
        (
            replace(SEATS, costs=(FeatureCost("money", CostTable(Price(1))),)),
            "features[0].costs: only METERED features have costs, 'seats' is SEATS",
        ),
        (
            replace(TOKENS, ttl_max_us=DAY_US),
            "features[0].ttl_max: only LEVEL features have it, 'tokens' is METERED",
        ),
        (
            replace(SEATS, billing=LevelBilling(LevelMeasure.AVERAGE, MONTH)),
            "features[0].billing: only LEVEL features have it, 'seats' is SEATS",
        ),
        (replace(JOBS, ttl_max_us=1), "features[0].ttl_max: must be 1s to 366d, is 1us"),
        (
            replace(JOBS, billing=LevelBilling(LevelMeasure.PEAK, EVER)),
            "features[0].billing.window.unit: needs windows that end, LIFETIME does not",
        ),
        (
            replace(SEATS, dimensions=(MODEL,)),
            "features[0].dimensions: only METERED and LEVEL features have dimensions",
        ),
    ],
)
def test_what_a_feature_of_another_kind_has(feature: Feature, expected: str) -> None:
    (found,) = told(sold(feature, EntitlementGrant(feature.key)))
    assert found.startswith(expected)


@pytest.mark.parametrize(
    ("tables", "expected"),
    [
        ([("mony", BY_MODEL)], "credits: the catalog has no feature 'mony'; did you mean 'money'?"),
        ([("seats", BY_MODEL)], "credits: costs are in CREDITS, 'seats' is SEATS"),
        ([("money", CostTable())], ": must have a price"),
        (
            [("money", replace(BY_MODEL, by="modle"))],
            "by: the feature declares no dimension 'modle'; did you mean 'model'?",
        ),
        (
            [("money", CostTable(None, "model", {"small": Price(1)}))],
            "by.model: has no price for large",
        ),
        (
            [("money", CostTable(Price(1), "model", {"huge": Price(1)}))],
            "by.model.huge: 'huge' is none of its values",
        ),
        (
            [("money", CostTable(Price(1), "user", {"otherwise": Price(1)}))],
            "by.user.otherwise: 'otherwise' is what the price of other values is called",
        ),
        (
            [("money", CostTable(Price(-1)))],
            "micro_credits: must be 0 to 9223372036854775807",
        ),
    ],
)
def test_what_costs_nobody_could_pay(tables: list[tuple[str, CostTable]], expected: str) -> None:
    at = "" if expected.startswith(":") else "."
    (found,) = told(costing(*tables))
    assert found.startswith(f"features[0].costs[0]{at}{expected}")


def test_costs_in_the_same_credits_and_in_too_many() -> None:
    twice = costing(("money", BY_MODEL), ("money", BY_MODEL))
    assert ["features[0].costs[1].credits: 'money' is here twice"] == told(twice)
    table = CostTable(Price(1))
    five = tuple(FeatureCost(f"c{at}", table) for at in range(5))
    catalog = Catalog(
        (
            replace(TOKENS, costs=five),
            *(Feature(each.credits, FeatureKind.CREDITS) for each in five),
        )
    )
    assert ["features[0].costs: must be at most 4, is 5"] == told(catalog)


def _limits(*limits: Limit) -> EntitlementGrant:
    return EntitlementGrant("", limits=limits)


@pytest.mark.parametrize(
    ("feature", "grant", "expected"),
    [
        (
            TOKENS,
            _limits(replace(MONTHLY, priority=1)),
            ["limits[0].priority: only limits of CREDITS have it, this is METERED"],
        ),
        (
            SEATS,
            _limits(replace(MONTHLY, credit_kind=GrantKind.PAID)),
            ["limits[0].credit_kind: only limits of CREDITS have it, this is SEATS"],
        ),
        (
            TOKENS,
            _limits(replace(MONTHLY, swaps=Swaps(1, MONTH))),
            ["limits[0].swaps: only limits of SEATS have it, this is METERED"],
        ),
        (
            TOKENS,
            EntitlementGrant("", overdraft=1),
            ["overdraft: only CREDITS features have overdraft, 'tokens' is METERED"],
        ),
        (
            SEATS,
            EntitlementGrant("", rates=(RateLimit("r", TEN_A_SECOND),)),
            ["rates: only METERED features have rates, 'seats' is SEATS"],
        ),
        (BALANCES[1], EntitlementGrant(""), ["limits: CREDITS need a limit, of amount 0"]),
        (
            BALANCES[1],
            _limits(replace(MONTHLY, amount=None)),
            ["limits[0].amount: of CREDITS it is what is granted"],
        ),
        (
            BALANCES[1],
            _limits(MONTHLY, replace(MONTHLY, id="more")),
            ["limits[1].window.unit: 'monthly' grants credits in the same windows"],
        ),
        (
            BALANCES[1],
            _limits(replace(MONTHLY, enforcement=Enforcement.SOFT)),
            ["limits[0].enforcement: of CREDITS it is one of HARD, not SOFT"],
        ),
        (
            BALANCES[1],
            _limits(replace(MONTHLY, across=Across.EVENTUAL)),
            ["limits[0].across: limits of CREDITS hold exactly over all sidecars"],
        ),
        (
            BALANCES[1],
            _limits(replace(MONTHLY, scope=Scope(("user",)))),
            ["limits[0].scope.dimensions: a balance is the company's"],
        ),
        (
            BALANCES[1],
            _limits(replace(MONTHLY, priority=1001)),
            ["limits[0].priority: must be 0 to 1000, is 1001"],
        ),
        (
            BALANCES[1],
            replace(_limits(MONTHLY), overdraft=-1),
            ["overdraft: must be 0 to 9223372036854775807"],
        ),
        (
            SEATS,
            _limits(Limit("l", REQUEST, 1)),
            ["limits[0].window.unit: SEATS has no limits for single requests"],
        ),
        (
            SEATS,
            _limits(replace(MONTHLY, scope=Scope((), (("model", "a"),)))),
            ["limits[0].scope.match: seats are the company's"],
        ),
        (
            SEATS,
            _limits(replace(MONTHLY, rollover=Rollover())),
            ["limits[0].rollover: nothing of SEATS is used up, or left over"],
        ),
        (
            SEATS,
            _limits(replace(MONTHLY, swaps=Swaps(-1, EVER))),
            [
                "limits[0].swaps.amount: must be 0 to 9223372036854775807",
                "limits[0].swaps.window.unit: needs windows that end, LIFETIME does not",
            ],
        ),
        (
            JOBS,
            _limits(MONTHLY),
            ["limits[0].window.unit: a level is what is in use now, which begins"],
        ),
    ],
)
def test_what_cannot_be_granted(
    feature: Feature, grant: EntitlementGrant, expected: Sequence[str]
) -> None:
    found = told(sold(feature, replace(grant, feature=feature.key)))
    starts = [f"plans[0].entitlements[0].{each}" for each in expected]
    assert starts == [text[: len(start)] for text, start in zip(found, starts, strict=True)]


MONEY: Final = EntitlementGrant("money", limits=(MONTHLY,), overdraft=50)


def selling(
    grant: EntitlementGrant, merge: Merge = Merge.INCREMENT, *, once: bool = False
) -> AddOn:
    return AddOn("more", "", 0, (AddOnEntitlement(grant, merge),), once=once)


@pytest.mark.parametrize(
    ("add_on", "expected"),
    [
        (
            selling(
                EntitlementGrant("money", limit_changes=(LimitChange("monthly", None, adds=True),))
            ),
            "limit_changes[0].amount: of CREDITS it is what is granted",
        ),
        (
            selling(EntitlementGrant("money", overdraft_change=OverdraftChange(5))),
            "overdraft_change.adds: an add-on adds, it sets nothing",
        ),
        (
            selling(EntitlementGrant("money", overdraft_change=OverdraftChange(-5, adds=True))),
            "overdraft_change.amount: must be 0 to 9223372036854775807",
        ),
        (
            selling(EntitlementGrant("money", limits=(replace(MONTHLY, priority=7),))),
            "limits[0]: grants credits with another priority, or of another kind",
        ),
        (
            selling(replace(MONEY, overdraft=49), Merge.OVERRIDE),
            "overdraft: lets less be owed than plan 'pro', which it replaces",
        ),
        (
            selling(replace(MONEY, overdraft_change=OverdraftChange(1, adds=True))),
            "overdraft_change: changes what is granted already",
        ),
    ],
)
def test_what_an_add_on_cannot_add(add_on: AddOn, expected: str) -> None:
    (found,) = told(sold(BALANCES[1], MONEY, add_on))
    assert found.startswith(f"add_ons[0].entitlements[0].entitlement.{expected}")


@pytest.mark.parametrize("feature", [SEATS, JOBS])
def test_what_is_never_used_up_has_no_packs(feature: Feature) -> None:
    limit = Limit("all", NOW if feature is JOBS else EVER, 1)
    grant = EntitlementGrant(feature.key, limits=(limit,))
    (message,) = told(sold(feature, grant, selling(grant, once=True)))
    path = "add_ons[0].entitlements[0].entitlement.feature"
    kind = feature.kind.name
    assert message == f"{path}: a pack (once) lasts until it is used up, and {kind} never is"


def test_credits_are_sold_as_packs_and_add_ons_that_are_alike() -> None:
    for once in (False, True):
        change = EntitlementGrant("money", limit_changes=(LimitChange("monthly", 5, adds=True),))
        assert [] == told(sold(BALANCES[1], MONEY, selling(change, once=once)))
        assert [] == told(sold(BALANCES[1], MONEY, selling(monthly("money"), once=once)))


def monthly(feature: str) -> EntitlementGrant:
    return EntitlementGrant(feature, limits=(MONTHLY,))


def test_what_was_counted_of_one_kind_is_not_taken_for_another() -> None:
    before = Catalog((TOKENS, Feature("sso", FeatureKind.BOOLEAN)))
    after = Catalog((Feature("sso", FeatureKind.LEVEL), Feature("tokens", FeatureKind.CREDITS)))
    (problem,) = kind_changes_problems(after, before)
    assert ("features", 1, "kind") == problem.path
    assert problem.message == (
        "'tokens' is METERED, and what was counted of it is not CREDITS: give the new feature "
        "another key"
    )
