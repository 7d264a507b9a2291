"""What amounts of single values must fulfil, and values that are written in a catalog."""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.domain import bounds
from sidecar.domain.catalog.model import Limit
from sidecar.domain.validation import (
    Path,
    RuleProblem,
    count_problems,
    new_name_problems,
    number_problems,
    text_problems,
)


def amounts_problems(limit: Limit) -> Iterator[RuleProblem]:
    """Yield what is wrong with a limit's amounts of single values."""
    if not limit.amounts:
        return
    if len(limit.scope.dimensions) != 1:
        message = "need a limit with a counter for each value of exactly one dimension (each)"
        yield RuleProblem((), message)
    yield from count_problems((), limit.amounts, bounds.VALUE_AMOUNTS_MAX)
    seen: set[str] = set()
    for value, amount in limit.amounts:
        path = (value,)
        yield from text_problems(path, value, bounds.DIMENSION_VALUE_BYTES_MAX)
        if amount is not None:
            yield from number_problems(path, amount, 0, bounds.INT64_MAX)
        if value in seen:
            yield RuleProblem(path, f"{value!r} is here twice")
        seen.add(value)


def value_names(path: Path, value: str) -> Iterator[RuleProblem]:
    """Yield why a value may be there, but not be given any more: it is meant as it is written."""
    yield from new_name_problems(path, value)
    if value.endswith("*"):
        message = (
            f"{value!r} would be met by that value alone: there are no patterns; name the values, "
            "or let requests carry a dimension of its own for the group"
        )
        yield RuleProblem(path, message)
