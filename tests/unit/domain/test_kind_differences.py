"""What is said to have changed of credits, seats and levels."""

from __future__ import annotations

from typing import Final

import pytest
from msgspec.structs import replace

from sidecar.domain.catalog.kinds import (
    FeatureCost,
    LevelBilling,
    LevelMeasure,
    OverdraftChange,
    Swaps,
)
from sidecar.domain.catalog.model import (
    AddOn,
    AddOnEntitlement,
    Catalog,
    EntitlementGrant,
    Feature,
    FeatureKind,
    Limit,
    Plan,
)
from sidecar.domain.credits.grants import GrantKind
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.difference.changes import catalog_changes
from sidecar.domain.time.units import HOUR_US
from sidecar.domain.time.windows import WindowSpec, WindowUnit
from tests.support.build import MONTH

TOKENS: Final = Feature("tokens", FeatureKind.METERED)
JOBS: Final = Feature("jobs", FeatureKind.LEVEL)
MONTHLY: Final = Limit("monthly", MONTH, 100)
GRANT: Final = EntitlementGrant("money", limits=(MONTHLY,))
BY_MODEL: Final = CostTable(Price(1, 3), "model", {"large": Price(10), "tiny": Price(0)})


def told(before: Catalog, after: Catalog) -> list[tuple[str, str | None, str | None]]:
    (change,) = catalog_changes(before, after)
    return [(field.path, field.before, field.after) for field in change.fields]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (
            TOKENS,
            replace(TOKENS, costs=(FeatureCost("money", BY_MODEL),)),
            [
                ("costs.money.by.model.large", None, "10"),
                ("costs.money.by.model.tiny", None, "free"),
                ("costs.money.by.model.otherwise", None, "1 per 3"),
            ],
        ),
        (
            replace(TOKENS, costs=(FeatureCost("money", CostTable(Price(1))),)),
            replace(TOKENS, costs=(FeatureCost("money", CostTable(Price(2))),)),
            [("costs.money.price", "1", "2")],
        ),
        (
            JOBS,
            replace(JOBS, ttl_max_us=HOUR_US, billing=LevelBilling(LevelMeasure.PEAK, MONTH)),
            [
                ("ttl_max", None, "1h"),
                ("billed", None, "PEAK"),
                ("billed_per", None, "MONTH CALENDAR"),
            ],
        ),
    ],
)
def test_of_features(
    before: Feature, after: Feature, expected: list[tuple[str, str | None, str | None]]
) -> None:
    assert expected == told(Catalog((before,)), Catalog((after,)))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        (replace(GRANT, overdraft=5), [("overdraft", None, "5")]),
        (
            replace(GRANT, limits=(replace(MONTHLY, priority=2, credit_kind=GrantKind.PAID),)),
            [("limits.monthly.priority", None, "2"), ("limits.monthly.credits", None, "PAID")],
        ),
        (
            replace(GRANT, limits=(replace(MONTHLY, swaps=Swaps(3, WindowSpec(WindowUnit.DAY))),)),
            [("limits.monthly.swaps", None, "3 per DAY CALENDAR")],
        ),
    ],
)
def test_of_what_is_granted(
    after: EntitlementGrant, expected: list[tuple[str, str | None, str | None]]
) -> None:
    before, changed = (Catalog(plans=(Plan("pro", "", (each,)),)) for each in (GRANT, after))
    paths = [(f"entitlements.money.{path}", *values) for path, *values in expected]
    assert paths == told(before, changed)


def test_of_what_an_add_on_lets_be_owed() -> None:
    more, most = (
        AddOn(
            "line",
            entitlements=(
                AddOnEntitlement(
                    EntitlementGrant("money", overdraft_change=OverdraftChange(amount, adds=True))
                ),
            ),
        )
        for amount in (5, 6)
    )
    expected = [("entitlements.money.overdraft", "+5", "+6")]
    assert expected == told(Catalog(add_ons=(more,)), Catalog(add_ons=(most,)))
