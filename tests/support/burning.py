"""Features with costs, and the balances that they draw on, as tests of burning share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.bounds import FOREVER_US
from sidecar.domain.catalog.kinds import FeatureCost
from sidecar.domain.catalog.model import Catalog, Dimension, EntitlementGrant, FeatureKind, Limit
from sidecar.domain.company.model import CompanyGrant
from sidecar.domain.credits.grants import CreditGrant, GrantKind
from sidecar.domain.credits.prices import CostTable, Price
from tests.support.build import MONTH, NOW_US, catalog, metered

CREDITS: Final = "credits"


def costs(
    price: int = 1, per: int = 1, by: Mapping[str, int] | None = None, balance: str = CREDITS
) -> FeatureCost:
    """A cost of so many micro-credits for so many units; `by`: by the dimension model instead."""
    if by is None:
        return FeatureCost(balance, CostTable(Price(price, per)))
    prices = {value: Price(amount, per) for value, amount in by.items()}
    return FeatureCost(balance, CostTable(None, "model", prices))


def recurring(name: str = "monthly", amount: int = 100, priority: int = 0) -> Limit:
    """A limit of a credits feature: so many micro-credits each month."""
    return Limit(name, MONTH, amount, priority=priority)


def one_off(
    name: str,
    amount: int,
    *,
    priority: int = 0,
    from_us: int = NOW_US - 1_000,
    until_us: int = FOREVER_US,
    kind: GrantKind = GrantKind.PROMOTIONAL,
    feature: str = CREDITS,
) -> CompanyGrant:
    """A one-off grant, in force already unless told otherwise."""
    return CompanyGrant(feature, CreditGrant(name, amount, priority, kind, from_us, until_us))


def credits_catalog(
    of: Mapping[str, Sequence[FeatureCost]],
    *limits: Limit,
    overdraft: int = 0,
    on: Mapping[str, Sequence[Limit]] | None = None,
) -> Catalog:
    """A plan `basic` with features and their costs, and a balance that gets these limits.

    `on`: limits of the features themselves, by feature.
    """
    grants = [metered(key, *(on or {}).get(key, ())) for key in of]
    balance = EntitlementGrant(CREDITS, limits=limits, overdraft=overdraft)
    sold = catalog({"basic": [*grants, balance]}, {CREDITS: FeatureKind.CREDITS})
    return replace(
        sold,
        features=tuple(
            replace(feature, costs=tuple(each), dimensions=_dimensions(each))
            if (each := of.get(feature.key))
            else feature
            for feature in sold.features
        ),
    )


def with_low_balances(content: Catalog, *low: int) -> Catalog:
    """The same with a plan by which these balances are low, the highest first."""
    (plan,) = content.plans
    granted = tuple(
        replace(each, low_balance=low) if each.feature == CREDITS else each
        for each in plan.entitlements
    )
    return replace(content, plans=(replace(plan, entitlements=granted),))


def _dimensions(of: Sequence[FeatureCost]) -> tuple[Dimension, ...] | None:
    """The dimensions that prices go by, whatever their values; `None` where they go by none."""
    names = sorted({each.table.by for each in of if each.table.by})
    return tuple(Dimension(name, required=True) for name in names) or None


def parts_in(burned: pb.CreditsBurned) -> dict[str, int]:
    """What each source has burned."""
    return {part.source: part.amount for part in burned.parts}
