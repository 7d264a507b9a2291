"""What the usual check has prepared of a company's feature: all that stays the same between two."""

from __future__ import annotations

from typing import Any, NamedTuple

from sidecar.directory.meters import Meter
from sidecar.domain.catalog.dimensions import DeclaredDimensions


class Counted(NamedTuple):
    """A limit on which a usual check counts, in the window of now.

    `key` and `wire` belong to the counter without values; a limit that is `scoped` has a counter
    for each combination of them. `frame`: of the answer, where the limit is the plan's own; `None`
    where it is only counted on. `shared`: one before it has the same counter. `thresholds`: usage
    at which an answer warns, ascending.
    """

    meter: Meter
    scoped: bool
    key: bytes
    wire: bytes
    window_end_us: int
    frame: Any
    amount: int | None
    thresholds: tuple[int, ...]
    is_shadow: bool
    shared: bool


class PreparedFeature(NamedTuple):
    """Prepared until the first of its windows ends.

    `counted` is empty where no check is usual. `quantity_max`: of a check that is. `dimensions`:
    those that the feature declares.
    """

    from_us: int
    until_us: int
    counted: tuple[Counted, ...]
    quantity_max: int
    dimensions: DeclaredDimensions | None
