"""Prices, and cost tables by the values of a dimension. In micro-credits. Values only."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

OTHERWISE: Final = "otherwise"
"""Stands, in files and words, for values that have no price of their own; so it is none."""


class Price(msgspec.Struct, frozen=True):
    """`micro_credits` (0 to 2^63-1) for `per` units (1 to 2^63-1), in lowest terms.

    Built by `costs.price_of`, so that equal prices are equal values.
    """

    micro_credits: int
    per: int = 1


class CostTable(msgspec.Struct, frozen=True):
    """The prices of a feature's units.

    `otherwise`: of all usage, or where there is a dimension, of that which `prices` does not name;
    `None` where that is refused. `prices`: by value of the dimension `by`.
    """

    otherwise: Price | None = None
    by: str = ""
    prices: Mapping[str, Price] = {}
