"""What features of one kind alone have, as a catalog file says it."""

from __future__ import annotations

from math import lcm
from typing import Final, TypeAlias

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.catalog.kinds import LevelBilling
from sidecar.domain.catalog.model import Feature
from sidecar.domain.company.model import MONTHLY
from sidecar.domain.credits.prices import OTHERWISE, CostTable, Price
from sidecar.domain.formatting import duration_text
from sidecar.domain.time.windows import WindowSpec
from sidecar.shared.catalog_file.kinds import FREE
from sidecar.shared.catalog_file.yaml_text import Plain, Tree

Tables: TypeAlias = dict[str, Tree]

_PER_MAX: Final = 10**12
"""Most units that all prices of a table are said for; beyond that each says its own."""


def kind_tree(feature: Feature) -> Tables:
    """What a feature of its kind has: prices, the longest time to live, how it is billed."""
    tree: Tables = {}
    if feature.costs:
        tree["costs"] = {cost.credits: _table(cost.table) for cost in feature.costs}
    if feature.ttl_max_us is not None:
        tree["ttl_max"] = Plain(duration_text(feature.ttl_max_us))
    if feature.billing is not None:
        tree |= _billing(feature.billing)
    return tree


def billing_period_text(period: WindowSpec) -> str:
    """The length of a window, such as `month` or `3 months`."""
    unit = period.unit.name.lower()
    return unit if period.interval == 1 else f"{period.interval} {unit}s"


def _billing(billing: LevelBilling) -> Tables:
    tree: Tables = {"billed": billing.measure.name.lower()}
    if billing.window != MONTHLY:
        tree["billed_per"] = billing_period_text(billing.window)
    return tree


def _table(table: CostTable) -> Tree:
    """Prices for as many units as all of them can be said for in whole micro-credits."""
    prices = dict(table.prices)
    if table.otherwise is not None:
        prices[OTHERWISE] = table.otherwise
    per = lcm(*(price.per for price in prices.values()))
    amounts = {value: price.micro_credits * (per // price.per) for value, price in prices.items()}
    told: Tables
    if per > _PER_MAX or max(amounts.values()) > INT64_MAX:
        per, told = 1, {value: _price(price) for value, price in prices.items()}
    else:
        told = {value: amount or FREE for value, amount in amounts.items()}
    units: Tables = {} if per == 1 else {"per": per}
    if table.by:
        return {**units, "by": {table.by: told}}
    return {**units, "price": told[OTHERWISE]} if units else told[OTHERWISE]


def _price(price: Price) -> Tree:
    if not price.micro_credits:
        return FREE
    if price.per == 1:
        return price.micro_credits
    return {"per": price.per, "price": price.micro_credits}
