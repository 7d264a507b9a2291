"""What the usual check has prepared of a company's feature: all that stays the same between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from sidecar.directory.meters import Meter
from sidecar.domain.catalog.dimensions import DeclaredDimensions
from sidecar.domain.catalog.model import Limit
from sidecar.domain.credits.prices import CostTable
from sidecar.domain.limits.counters import CounterName

Own: TypeAlias = tuple[Any, int | None, tuple[int, ...]]
"""Frame of the answer, amount and thresholds of a limit."""


class OwnAmounts:
    """What is prepared for values that have an amount of their own, once one is asked for."""

    __slots__ = ("_limits", "_prepare", "_prepared")

    def __init__(
        self, limits: Mapping[tuple[str, ...], Limit], prepare: Callable[[Limit], Own]
    ) -> None:
        self._limits = limits
        self._prepare = prepare
        self._prepared: dict[tuple[str, ...], Own] = {}

    def of(self, values: tuple[str, ...]) -> Own | None:
        """What holds for values; `None` for those that have no amount of their own."""
        own = self._prepared.get(values)
        if own is None and (limit := self._limits.get(values)) is not None:
            own = self._prepared[values] = self._prepare(limit)
        return own


class Counted(NamedTuple):
    """A limit on which a usual check counts, in the window of now.

    `key` and `wire` belong to the counter without values; a limit that is `scoped` has a counter
    for each combination of them. `frame`: of the answer, where the limit is the plan's own; `None`
    where it is only counted on. `shared`: one before it has the same counter. `thresholds`: usage
    at which an answer warns, ascending. `by_value`: the same for values that have an amount of
    their own; `None` where there are none. `exact`: where it has an amount, it is counted on by
    leases alone.
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
    by_value: OwnAmounts | None
    exact: bool


class PreparedSource(NamedTuple):
    """A source that a usual check burns from: see `BalanceSource`.

    `frame`: of what an answer says of it. `exact`: it burns by leases alone.
    """

    key: bytes
    wire: bytes
    frame: Any
    counter: CounterName
    amount: int
    window_end_us: int
    exact: bool


class PreparedCost(NamedTuple):
    """What a usual check burns of one balance; `sources`: all of them, in burn order.

    `wire`: all of the record's cost before its amount. `low`: what is left in all, with the whole
    overdraft, where the balance is a low one; ascending.
    """

    wire: bytes
    table: CostTable
    sources: tuple[PreparedSource, ...]
    low: tuple[int, ...] = ()


class PreparedFeature(NamedTuple):
    """Prepared until the first of its windows ends.

    `quantity_max`: of a usual check; 0 where none is. `dimensions`: those that the feature
    declares. `is_limited`: whether it has limits of its own, one of which an answer names.
    """

    from_us: int
    until_us: int
    counted: tuple[Counted, ...]
    quantity_max: int
    dimensions: DeclaredDimensions | None
    costs: tuple[PreparedCost, ...] = ()
    is_limited: bool = True
