"""What the README of catalog files says of credits, seats and levels is so."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.kinds import LevelMeasure
from sidecar.domain.catalog.model import Enforcement, Feature, Limit
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.company.timeline import compile_snapshot, segment_at
from sidecar.domain.credits.costs import cost, price_for
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.entitlement.proration import Prorating
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import Alignment, WindowUnit
from sidecar.shared.catalog_file.load import CatalogFile, CatalogFileError, parse_catalog
from sidecar.shared.instants import instant_of_text
from tests.unit.shared.catalog_file.test_readme import WHOLE

MAY: Final = instant_of_text("2026-05-01T00:00:00Z")


def text(word: str) -> str:
    (block,) = (block for block in WHOLE if word in block)
    return str(block)


def example(word: str) -> CatalogFile:
    file = parse_catalog(text(word).encode(), "README.md")
    assert () == file.warnings
    return file


def sold(file: CatalogFile, feature: str, plan: str) -> Entitlement:
    segment = Segment(status=SubscriptionStatus.ACTIVE, plan=plan)
    found = CatalogIndex(file.catalog, 1).resolve(segment, feature)
    assert found is not None
    return found


def feature_of(file: CatalogFile, key: str) -> Feature:
    (found,) = (each for each in file.catalog.features if each.key == key)
    return found


def by_name(entitlement: Entitlement) -> dict[str, Limit]:
    return {limit.id: limit for limit in entitlement.limits}


@pytest.mark.parametrize(
    ("feature", "model", "quantity", "expected"),
    [
        ("tokens", "small", 1_000, 1),
        ("tokens", "small", 1_001, 2),
        ("tokens", "large", 1_000, 10),
        ("tokens", "large", 50, 1),
        ("images", "", 3, 120_000),
    ],
)
def test_what_usage_costs(feature: str, model: str, quantity: int, expected: int) -> None:
    (found,) = feature_of(example("credit_line"), feature).costs
    assert "ai_credits" == found.credits
    assert expected == cost(price_for(found.table, {"model": model}), quantity)


def test_what_is_granted_burns_in_its_order() -> None:
    limits = by_name(sold(example("credit_line"), "ai_credits", "pro"))
    included, bought = limits["included"], limits["bought"]
    assert (10, GrantKind.PROMOTIONAL) == (included.priority, included.credit_kind)
    assert (20, GrantKind.PAID) == (bought.priority, bought.credit_kind)
    assert Alignment.ANCHORED is included.window.alignment
    assert WindowUnit.LIFETIME is bought.window.unit


def test_packs_overrides_and_what_may_be_owed_come_on_top() -> None:
    file = example("credit_line")
    (acme,) = file.companies
    segment = segment_at(compile_snapshot(acme, 1), MAY)
    found = CatalogIndex(file.catalog, 1).resolve(segment, "ai_credits")
    assert found is not None
    amounts = {name: limit.amount for name, limit in by_name(found).items()}
    assert {"included": 6_000_000, "bought": 20_000_000} == amounts
    assert 3_000_000 == found.overdraft
    assert (1_000_000, 100_000) == found.low_balance


@pytest.mark.parametrize(
    ("said", "expected"), [("3_000_000", 3_000_000), ("+3_000_000", 4_500_000)]
)
def test_an_override_sets_what_may_be_owed_or_adds_to_it(said: str, expected: int) -> None:
    block = text("credit_line").replace("overdraft: 3_000_000", f"overdraft: {said}")
    file = parse_catalog(block.encode(), "README.md")
    segment = segment_at(compile_snapshot(file.companies[0], 1), MAY)
    found = CatalogIndex(file.catalog, 1).resolve(segment, "ai_credits")
    assert found is not None
    assert expected == found.overdraft


@pytest.mark.parametrize(("said", "expected"), [("by time", 700), ("full", 900), ("none", 300)])
def test_what_a_month_grants_in_which_the_plan_changes(said: str, expected: int) -> None:
    block = text("proration: by time").replace("proration: by time", f"proration: {said}")
    file = parse_catalog(block.encode(), "README.md")
    timeline = Prorating(file.catalog).prorated(compile_snapshot(file.companies[0], 1))
    found = CatalogIndex(file.catalog, 1).resolve(segment_at(timeline, MAY - 1), "ai_credits")
    assert found is not None
    assert expected == by_name(found)["included"].amount


@pytest.mark.parametrize(
    ("of", "makes", "message"),
    [
        ("ai_credits: 40_000", "ai_credits: 0", "must not be 0; write free"),
        ("large: 10}", "otherwise: 10}", ""),
        (", large: 10}", "}", "has no price for large"),
        ("amount: 5_000_000, per: month, align: billing", "amount: unlimited, per: month", "never"),
    ],
)
def test_what_it_says_is_refused(of: str, makes: str, message: str) -> None:
    block = text("credit_line")
    assert of in block
    changed = block.replace(of, makes).encode()
    if not message:
        parse_catalog(changed, "README.md")
        return
    with pytest.raises(CatalogFileError) as refused:
        parse_catalog(changed, "README.md")
    assert message in refused.value.lines()[0]


def test_seats_are_of_now_or_of_a_window() -> None:
    file = example("active_users:")
    (named,) = sold(file, "members", "team").limits
    (monthly,) = sold(file, "active_users", "team").limits
    assert WindowUnit.LIFETIME is named.window.unit
    assert named.swaps is not None
    assert (3, WindowUnit.MONTH) == (named.swaps.amount, named.swaps.window.unit)
    assert (WindowUnit.MONTH, Enforcement.SOFT) == (monthly.window.unit, monthly.enforcement)
    assert monthly.swaps is None


def test_levels_live_and_are_billed_as_it_says() -> None:
    file = example("ttl_max:")
    assert HOUR_US == feature_of(file, "jobs").ttl_max_us
    billing = feature_of(file, "storage").billing
    assert billing is not None
    assert (LevelMeasure.AVERAGE, Alignment.ANCHORED) == (
        billing.measure,
        billing.window.alignment,
    )
    limits = by_name(sold(file, "projects", "pro"))
    assert (("user",), 3) == (limits["mine"].scope.dimensions, limits["mine"].amount)
