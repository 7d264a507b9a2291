"""What usage costs: prices, and cost tables by the values of a dimension. In micro-credits.

Rules
- A price is a fraction: micro-credits for so many units, in lowest terms. A call costs its quantity
  times the price, rounded up to a whole micro-credit. So splitting a call is never cheaper, and at
  most one micro-credit a call dearer; what no call can pay exactly is a price all the same.
- A price of 0 is one: usage is free. `free_of` says what is, for whoever applies a catalog.
- A table has one price for everything, or one for each value of a dimension and perhaps one for
  the rest. Usage that no price fits is refused, never free: a misspelt value is no way around.
  Where it has happened already, it costs the dearest price.
- For as much as an amount pays, a call may have the largest quantity that costs no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Final

from sidecar.domain import bounds
from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.prices import OTHERWISE, CostTable, Price
from sidecar.domain.errors import InvalidInput, OutOfRange
from sidecar.domain.limits.requests import require_quantity
from sidecar.domain.validation import (
    Path,
    RuleProblem,
    count_problems,
    name_problems,
    number_problems,
)

PRICES_MAX: Final = bounds.DIMENSION_VALUES_MAX
"""Most values of its dimension that a cost table prices."""


def price_of(field: str, micro_credits: int | Fraction, per: int = 1) -> Price:
    """The price of so many micro-credits, a fraction of one perhaps, for `per` units.

    Raises `InvalidInput` below 0, for no units, and where the fraction's lowest terms do not fit
    into 63 bits.
    """
    if micro_credits < 0:
        raise InvalidInput(field, f"must be 0 or more, not {micro_credits}")
    if not 1 <= per <= INT64_MAX:
        raise InvalidInput(f"{field}.per", f"must be 1 to 2^63-1, not {per}")
    unit = Fraction(micro_credits) / per
    if unit.numerator > INT64_MAX or unit.denominator > INT64_MAX:
        raise InvalidInput(field, "must be a fraction whose lowest terms fit into 63 bits")
    return Price(unit.numerator, unit.denominator)


def cost_table_problems(path: Path, table: CostTable) -> Iterator[RuleProblem]:
    """Yield what is wrong with a table; it may come from another program."""
    if not table.by and table.otherwise is None:
        yield RuleProblem(path, "must have a price")
    if table.otherwise is not None:
        yield from _price_problems(path, table.otherwise)
    by = (*path, "by")
    if not table.by:
        if table.prices:
            yield RuleProblem(by, "must name the dimension that prices go by")
        return
    yield from name_problems(by, table.by, bounds.DIMENSION_KEY_BYTES_MAX)
    yield from count_problems((*by, table.by), table.prices, PRICES_MAX)
    if not table.prices:
        yield RuleProblem((*by, table.by), "must price a value at least")
    for value, price in table.prices.items():
        place = (*by, table.by, value)
        yield from name_problems(place, value, bounds.DIMENSION_VALUE_BYTES_MAX)
        yield from _price_problems(place, price)
        if value == OTHERWISE:
            yield RuleProblem(place, f"{OTHERWISE!r} is what the price of other values is called")


def _price_problems(path: Path, price: Price) -> Iterator[RuleProblem]:
    yield from number_problems((*path, "micro_credits"), price.micro_credits, 0, INT64_MAX)
    yield from number_problems((*path, "per"), price.per, 1, INT64_MAX)


def price_for(table: CostTable, dimensions: Mapping[str, str]) -> Price:
    """The price of usage with these dimensions, else `InvalidInput` with the dimension named.

    An empty value is as good as none.
    """
    if not table.by:
        price = table.otherwise
    else:
        price = table.prices.get(dimensions.get(table.by, ""), table.otherwise)
    if price is None:
        value = dimensions.get(table.by)
        problem = f"has no price: {value!r}" if value else "is required, since prices go by it"
        raise InvalidInput(f"dimensions[{table.by}]", problem)
    return price


def price_of_report(table: CostTable, dimensions: Mapping[str, str]) -> Price:
    """The price of usage that has happened: where none fits it is the dearest, and never free."""
    try:
        return price_for(table, dimensions)
    except InvalidInput:
        return max(
            table.prices.values(), key=lambda price: Fraction(price.micro_credits, price.per)
        )


def cost(price: Price, quantity: int) -> int:
    """What a quantity costs in one call, 0 to 2^63-1, rounded up.

    Raises `InvalidInput` for a quantity below 0, and `OutOfRange` where it costs more than that.
    """
    require_quantity("quantity", quantity)
    micro_credits = -(-quantity * price.micro_credits // price.per)
    if micro_credits > INT64_MAX:
        raise OutOfRange("quantity", "costs more than 2^63-1 micro-credits")
    return micro_credits


def cost_of_report(price: Price, quantity: int) -> int:
    """What a quantity costs that has happened already: 2^63-1 where it is more than that."""
    return min(INT64_MAX, -(-quantity * price.micro_credits // price.per))


def affordable(price: Price, micro_credits: int) -> int:
    """The largest quantity that costs no more than an amount in one call, 0 to 2^63-1."""
    require_quantity("micro_credits", micro_credits)
    if not price.micro_credits:
        return INT64_MAX
    return min(INT64_MAX, micro_credits * price.per // price.micro_credits)


def free_of(table: CostTable) -> Iterator[str]:
    """Values of the table's dimension that are free; "" for usage that it does not name."""
    if table.otherwise is not None and not table.otherwise.micro_credits:
        yield ""
    for value, price in table.prices.items():
        if not price.micro_credits:
            yield value
