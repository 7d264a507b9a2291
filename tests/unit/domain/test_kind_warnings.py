"""What of credits, seats and levels is taken, and is likely not meant so."""

from __future__ import annotations

from msgspec.structs import replace

from sidecar.domain.catalog.model import Catalog, EntitlementGrant, Limit, Plan
from sidecar.domain.catalog.warnings import warnings
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit
from sidecar.domain.validation import field_path_text
from tests.unit.domain.test_kind_rules import (
    BALANCES,
    BY_MODEL,
    MONTHLY,
    SEATS,
    costing,
    monthly,
    selling,
    sold,
    told,
)


def _odd(catalog: Catalog) -> list[str]:
    assert [] == told(catalog)
    return [f"{field_path_text(each.path)}: {each.message}" for each in warnings(catalog)]


def test_prices_of_nothing_are_said_aloud() -> None:
    free = CostTable(Price(0), "model", {"small": Price(0), "large": Price(1)})
    plan = Plan("pro", "", (monthly("money"), EntitlementGrant("tokens")))
    catalog = replace(costing(("money", free)), plans=(plan,))
    assert [
        "features[0].costs[0]: usage with any other model costs nothing in 'money'",
        "features[0].costs[0]: usage with model 'small' costs nothing in 'money'",
    ] == _odd(catalog)
    catalog = replace(costing(("money", CostTable(Price(0)))), plans=(plan,))
    assert ["features[0].costs[0]: usage costs nothing in 'money'"] == _odd(catalog)


def test_usage_whose_credits_nobody_grants_is_said_aloud() -> None:
    catalog = costing(("money", BY_MODEL))
    (message,) = _odd(catalog)
    assert message.startswith("plans[0].entitlements[0]: 'tokens' costs 'money', which neither")
    brought = replace(catalog, add_ons=(selling(monthly("money")),))
    assert [] == _odd(brought)


def test_grants_of_credits_and_limits_of_seats_do_not_stand_in_each_others_way() -> None:
    yearly = Limit("yearly", WindowSpec(WindowUnit.YEAR), 10_000)
    for feature in (BALANCES[1], SEATS):
        grant = EntitlementGrant(feature.key, limits=(MONTHLY, yearly))
        assert [] == _odd(sold(feature, grant))
    anchored = replace(
        MONTHLY, id="cycle", window=WindowSpec(WindowUnit.MONTH, alignment=Alignment.ANCHORED)
    )
    assert [] == _odd(sold(BALANCES[1], EntitlementGrant("money", limits=(MONTHLY, anchored))))
