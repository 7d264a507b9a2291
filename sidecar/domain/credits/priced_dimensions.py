"""Cost tables and what their feature declares: a price that no request could have is refused.

Rules
- Prices go by a dimension that the feature declares: of one that it does not, nobody could say
  which requests bring it, and a misspelt one would cost what the rest does, or be refused.
- A value that is priced is one of those that there are, and each of them has a price.
- Without a price for the rest, requests have to bring the dimension: it is a required one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from sidecar.domain.catalog.model import Dimension
from sidecar.domain.credits.prices import CostTable
from sidecar.domain.nearest import did_you_mean
from sidecar.domain.validation import Path, RuleProblem

_VALUES_TOLD_MAX: Final = 5


def priced_dimension_problems(
    path: Path, table: CostTable, dimensions: Sequence[Dimension] | None
) -> Iterator[RuleProblem]:
    """Yield what of a table does not fit its feature's dimensions (`None`: it declares nothing)."""
    if not table.by:
        return
    names = [dimension.name for dimension in dimensions or ()]
    dimension = next((each for each in dimensions or () if each.name == table.by), None)
    if dimension is None:
        meant = did_you_mean(table.by, names)
        yield RuleProblem((*path, "by"), f"the feature declares no dimension {table.by!r}{meant}")
        return
    place = (*path, "by", table.by)
    for value in table.prices:
        if dimension.values and value not in dimension.values:
            meant = did_you_mean(value, dimension.values)
            yield RuleProblem((*place, value), f"{value!r} is none of its values{meant}")
    if table.otherwise is not None:
        return
    unpriced = [value for value in dimension.values if value not in table.prices]
    if unpriced:
        told = ", ".join(unpriced[:_VALUES_TOLD_MAX])
        more = len(unpriced) - _VALUES_TOLD_MAX
        yield RuleProblem(
            place, f"has no price for {told}{f' and {more} more' if more > 0 else ''}"
        )
    if not dimension.required:
        message = "needs a price for requests without it: the dimension is optional"
        yield RuleProblem(place, message)
