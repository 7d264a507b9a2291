"""Cost tables that do not fit the dimensions of their feature are told, by field and in words."""

from __future__ import annotations

from typing import Final

import pytest

from sidecar.domain.catalog.model import Dimension
from sidecar.domain.credits.priced_dimensions import priced_dimension_problems
from sidecar.domain.credits.prices import CostTable, Price
from sidecar.domain.validation import field_path_text

ONE: Final = Price(1)
MODEL: Final = Dimension("model", required=True, values=("small", "large"))
BY_MODEL: Final = CostTable(by="model", prices={"small": ONE, "large": Price(10)})


@pytest.mark.parametrize(
    ("table", "dimensions"),
    [
        pytest.param(CostTable(ONE), None, id="one price, nothing declared"),
        pytest.param(BY_MODEL, (Dimension("user"), MODEL), id="each value has a price"),
        pytest.param(
            CostTable(ONE, "model", {"large": ONE}), (MODEL,), id="a price for the other values"
        ),
        pytest.param(
            CostTable(ONE, "model", {"large": ONE}),
            (Dimension("model"),),
            id="a price for requests without",
        ),
        pytest.param(
            BY_MODEL, (Dimension("model", required=True),), id="any value: others are refused"
        ),
    ],
)
def test_a_table_fits(table: CostTable, dimensions: tuple[Dimension, ...] | None) -> None:
    assert [] == list(priced_dimension_problems((), table, dimensions))


@pytest.mark.parametrize(
    ("table", "dimensions", "expected"),
    [
        pytest.param(
            BY_MODEL,
            None,
            ["costs.by: the feature declares no dimension 'model'"],
            id="nothing is declared",
        ),
        pytest.param(
            CostTable(ONE, "modle", {"large": ONE}),
            (MODEL,),
            ["costs.by: the feature declares no dimension 'modle'; did you mean 'model'?"],
            id="a misspelt dimension",
        ),
        pytest.param(
            CostTable(ONE, "model", {"Large": ONE}),
            (MODEL,),
            ["costs.by.model.Large: 'Large' is none of its values; did you mean 'large'?"],
            id="a misspelt value",
        ),
        pytest.param(
            CostTable(by="model", prices={"large": ONE}),
            (MODEL,),
            ["costs.by.model: has no price for small"],
            id="a value without a price",
        ),
        pytest.param(
            CostTable(by="model", prices={"m0": ONE}),
            (Dimension("model", required=True, values=tuple(f"m{at}" for at in range(9))),),
            ["costs.by.model: has no price for m1, m2, m3, m4, m5 and 3 more"],
            id="many of them",
        ),
        pytest.param(
            BY_MODEL,
            (Dimension("model", values=("small", "large")),),
            ["costs.by.model: needs a price for requests without it: the dimension is optional"],
            id="an optional dimension",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_told(
    table: CostTable, dimensions: tuple[Dimension, ...] | None, expected: list[str]
) -> None:
    problems = priced_dimension_problems(("costs",), table, dimensions)
    assert expected == [f"{field_path_text(path)}: {message}" for path, message in problems]
