"""What features of one kind alone have: prices, overdraft, swaps, how a level is billed."""

from __future__ import annotations

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.domain.catalog.kinds import (
    FeatureCost,
    LevelBilling,
    LevelMeasure,
    OverdraftChange,
    Swaps,
)
from sidecar.domain.credits.costs import price_of
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.errors import InvalidInput
from sidecar.domain.time.windows import Alignment
from sidecar.shared.convert._checks import below, member
from sidecar.shared.convert.limits import window_from_message, window_to_message


def feature_cost_to_message(cost: FeatureCost) -> catalog_pb2.FeatureCost:
    """Turn what usage costs into a message."""
    table = cost.table
    return catalog_pb2.FeatureCost(
        credits=cost.credits,
        otherwise=None if table.otherwise is None else _price_to_message(table.otherwise),
        by=table.by,
        prices=[
            catalog_pb2.ValuePrice(value=value, price=_price_to_message(price))
            for value, price in table.prices.items()
        ],
    )


def feature_cost_from_message(message: catalog_pb2.FeatureCost, field: str) -> FeatureCost:
    """Read what usage costs. Its bounds are checked with those of what it is a part of."""
    otherwise = None
    if message.HasField("otherwise"):
        otherwise = _price(message.otherwise, below(field, "otherwise"))
    prices: dict[str, Price] = {}
    for at, priced in enumerate(message.prices):
        path = below(field, f"prices[{at}]")
        if priced.value in prices:
            raise InvalidInput(below(path, "value"), f"{priced.value!r} is here twice")
        prices[priced.value] = _price(priced.price, below(path, "price"))
    return FeatureCost(message.credits, CostTable(otherwise, message.by, prices))


def level_billing_to_message(billing: LevelBilling) -> catalog_pb2.LevelBilling:
    """Turn how a level is billed into a message."""
    return catalog_pb2.LevelBilling(
        measure=catalog_pb2.LevelMeasure.ValueType(billing.measure),
        window=window_to_message(billing.window),
    )


def level_billing_from_message(message: catalog_pb2.LevelBilling, field: str) -> LevelBilling:
    """Read how a level is billed; windows that say nothing else are those of the billing cycle."""
    return LevelBilling(
        member(LevelMeasure, message.measure, below(field, "measure")),
        window_from_message(message.window, below(field, "window"), Alignment.ANCHORED),
    )


def swaps_to_message(swaps: Swaps) -> catalog_pb2.Swaps:
    """Turn how many seats may change hands into a message."""
    return catalog_pb2.Swaps(amount=swaps.amount, window=window_to_message(swaps.window))


def swaps_from_message(message: catalog_pb2.Swaps, field: str) -> Swaps:
    """Read how many seats may change hands."""
    return Swaps(message.amount, window_from_message(message.window, below(field, "window")))


def overdraft_change_to_message(change: OverdraftChange) -> catalog_pb2.OverdraftChange:
    """Turn a change of an overdraft into a message."""
    return catalog_pb2.OverdraftChange(amount=change.amount, adds=change.adds)


def overdraft_change_from_message(message: catalog_pb2.OverdraftChange) -> OverdraftChange:
    """Read a change of an overdraft. Its bounds are checked with those of what it is a part of."""
    return OverdraftChange(message.amount, message.adds)


def _price_to_message(price: Price) -> catalog_pb2.Price:
    return catalog_pb2.Price(micro_credits=price.micro_credits, per=price.per)


def _price(message: catalog_pb2.Price, field: str) -> Price:
    return price_of(field, message.micro_credits, message.per or 1)
