"""What usage costs: prices, rounding, cost tables by a dimension, and what is refused."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

import pytest

from sidecar.domain.bounds import INT64_MAX
from sidecar.domain.credits.costs import (
    PRICES_MAX,
    affordable,
    cost,
    cost_table_problems,
    free_of,
    price_for,
    price_of,
)
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.errors import InvalidInput, OutOfRange
from sidecar.domain.validation import field_path_text

ONE: Final = Price(1)
THIRD: Final = Price(1, 3)
BY_MODEL: Final = CostTable(by="model", prices={"small": Price(1), "large": Price(10)})


@pytest.mark.parametrize(
    ("micro_credits", "per", "expected"),
    [
        pytest.param(1_000_000, 1000, Price(1000), id="one credit for a thousand"),
        pytest.param(15, 10, Price(3, 2), id="in lowest terms"),
        pytest.param(Fraction("0.25"), 1000, Price(1, 4000), id="a part of a micro-credit"),
        pytest.param(Fraction(1, 3), 1, THIRD, id="no decimal has it"),
        pytest.param(0, 1000, Price(0), id="free"),
        pytest.param(INT64_MAX, 1, Price(INT64_MAX), id="the greatest"),
        pytest.param(1, INT64_MAX, Price(1, INT64_MAX), id="the smallest"),
    ],
)
def test_a_price_is(micro_credits: int | Fraction, per: int, expected: Price) -> None:
    assert expected == price_of("costs", micro_credits, per)


@pytest.mark.parametrize(
    ("micro_credits", "per", "field"),
    [
        pytest.param(-1, 1, "costs", id="below 0"),
        pytest.param(Fraction(-1, 3), 1, "costs", id="a fraction below 0"),
        pytest.param(INT64_MAX + 1, 1, "costs", id="too dear"),
        pytest.param(Fraction(1, 2), INT64_MAX, "costs", id="too cheap"),
        pytest.param(1, 0, "costs.per", id="for no units"),
        pytest.param(1, -1, "costs.per", id="for fewer than none"),
        pytest.param(1, INT64_MAX + 1, "costs.per", id="for too many"),
    ],
)
def test_a_price_that_cannot_be_is_refused(
    micro_credits: int | Fraction, per: int, field: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        price_of(field.removesuffix(".per"), micro_credits, per)
    assert field == refused.value.field


@pytest.mark.parametrize(
    ("price", "quantity", "expected"),
    [
        pytest.param(Price(5), 7, 35, id="whole"),
        pytest.param(THIRD, 1, 1, id="rounded up"),
        pytest.param(THIRD, 3, 1, id="exact"),
        pytest.param(THIRD, 4, 2, id="rounded up once, not for each unit"),
        pytest.param(Price(2, 3), 2, 2, id="4/3 rounded up"),
        pytest.param(Price(0), INT64_MAX, 0, id="free"),
        pytest.param(Price(INT64_MAX), 0, 0, id="nothing"),
        pytest.param(Price(1, INT64_MAX), INT64_MAX, 1, id="as much as there can be, very cheap"),
        pytest.param(ONE, INT64_MAX, INT64_MAX, id="up to the greatest integer"),
        pytest.param(
            Price(INT64_MAX, INT64_MAX - 1), INT64_MAX - 1, INT64_MAX, id="exact where floats end"
        ),
    ],
)
def test_a_quantity_costs(price: Price, quantity: int, expected: int) -> None:
    assert expected == cost(price, quantity)


@pytest.mark.parametrize(
    ("price", "quantity"),
    [(Price(2), INT64_MAX // 2 + 1), (Price(INT64_MAX), INT64_MAX), (Price(4, 3), INT64_MAX)],
)
def test_what_costs_more_than_the_greatest_integer_is_out_of_range(
    price: Price, quantity: int
) -> None:
    with pytest.raises(OutOfRange) as refused:
        cost(price, quantity)
    assert "quantity" == refused.value.field


@pytest.mark.parametrize(
    ("price", "micro_credits", "expected"),
    [
        pytest.param(Price(5), 14, 2, id="what is paid in full"),
        pytest.param(THIRD, 2, 6, id="several for one micro-credit"),
        pytest.param(Price(2, 3), 1, 1, id="the next one would be rounded past it"),
        pytest.param(Price(5), 0, 0, id="nothing for nothing"),
        pytest.param(Price(0), 0, INT64_MAX, id="anything that is free"),
        pytest.param(THIRD, INT64_MAX, INT64_MAX, id="no more than there can be"),
    ],
)
def test_an_amount_pays_for(price: Price, micro_credits: int, expected: int) -> None:
    assert expected == affordable(price, micro_credits)


@pytest.mark.parametrize("quantity", [-1, -(2**63)])
def test_quantities_and_amounts_below_0_are_refused(quantity: int) -> None:
    with pytest.raises(InvalidInput, match="quantity"):
        cost(ONE, quantity)
    with pytest.raises(InvalidInput, match="micro_credits"):
        affordable(ONE, quantity)


@pytest.mark.parametrize(
    ("table", "dimensions", "expected"),
    [
        pytest.param(CostTable(ONE), {"model": "large"}, ONE, id="one price for everything"),
        pytest.param(BY_MODEL, {"model": "large", "user": "u"}, Price(10), id="by value"),
        pytest.param(
            CostTable(THIRD, "model", {"large": ONE}), {"model": "huge"}, THIRD, id="the rest"
        ),
        pytest.param(CostTable(THIRD, "model", {"large": ONE}), {}, THIRD, id="without the value"),
    ],
)
def test_usage_has_the_price(table: CostTable, dimensions: dict[str, str], expected: Price) -> None:
    assert expected == price_for(table, dimensions)


@pytest.mark.parametrize(
    ("dimensions", "message"),
    [
        ({"model": "Large"}, "dimensions[model]: has no price: 'Large'"),
        ({"modle": "large"}, "dimensions[model]: is required, since prices go by it"),
        ({"model": ""}, "dimensions[model]: is required, since prices go by it"),
    ],
)
def test_usage_that_no_price_fits_is_refused(dimensions: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        price_for(BY_MODEL, dimensions)
    assert message == str(refused.value)


@pytest.mark.parametrize(
    ("table", "free"),
    [
        pytest.param(CostTable(ONE), [], id="nothing"),
        pytest.param(CostTable(Price(0)), [""], id="everything"),
        pytest.param(
            CostTable(Price(0), "model", {"a": ONE, "b": Price(0)}), ["", "b"], id="some values"
        ),
    ],
)
def test_what_is_free_is_told(table: CostTable, free: list[str]) -> None:
    assert free == list(free_of(table))


@pytest.mark.parametrize(
    "table",
    [
        CostTable(ONE),
        CostTable(Price(0)),
        CostTable(Price(INT64_MAX, INT64_MAX)),
        BY_MODEL,
        CostTable(ONE, "model", {"large": ONE}),
        CostTable(by="model", prices={f"m{at}": ONE for at in range(PRICES_MAX)}),
    ],
)
def test_a_table_within_its_bounds_is_sound(table: CostTable) -> None:
    assert [] == list(cost_table_problems(("costs",), table))


@pytest.mark.parametrize(
    ("table", "paths"),
    [
        pytest.param(CostTable(), ["costs"], id="no price at all"),
        pytest.param(CostTable(Price(-1)), ["costs.micro_credits"], id="a price below 0"),
        pytest.param(CostTable(Price(1, 0)), ["costs.per"], id="for no units"),
        pytest.param(CostTable(ONE, prices={"a": ONE}), ["costs.by"], id="by no dimension"),
        pytest.param(CostTable(by="model"), ["costs.by.model"], id="no value priced"),
        pytest.param(CostTable(by="m" * 65, prices={"a": ONE}), ["costs.by"], id="a long name"),
        pytest.param(
            CostTable(by="model", prices={"": ONE}), ["costs.by.model."], id="an empty value"
        ),
        pytest.param(
            CostTable(by="model", prices={"a": Price(1, -1), "b": Price(INT64_MAX + 1)}),
            ["costs.by.model.a.per", "costs.by.model.b.micro_credits"],
            id="each price is held to its bounds",
        ),
        pytest.param(
            CostTable(by="model", prices={f"m{at}": ONE for at in range(PRICES_MAX + 1)}),
            ["costs.by.model"],
            id="too many values",
        ),
    ],
)
def test_a_table_that_cannot_be_is_told_by_field(table: CostTable, paths: list[str]) -> None:
    problems = cost_table_problems(("costs",), table)
    assert paths == [field_path_text(problem.path) for problem in problems]
