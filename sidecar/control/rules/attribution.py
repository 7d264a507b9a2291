"""On which counters usage belongs.

Usually the sidecar says so. It cannot where it had no snapshot; and it may be wrong where it had an
older one, and did not know yet that usage was reset or the billing anchor moved before the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot, Phase
from sidecar.domain.company.timeline import phase_at, segment_at
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import (
    CounterRef,
    generation_in,
    is_anchored,
    scope_values,
    slot_of,
)
from sidecar.domain.time.company_windows import company_window, generation_of
from sidecar.domain.time.windows import Window


class CountedLimit(NamedTuple):
    """A limit, and what of its counters' names does not depend on the usage."""

    limit: Limit
    slot: str
    window: Window


def attribute(
    catalog: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    event_time_us: int,
    dimensions: Mapping[str, str],
) -> tuple[CounterKey, ...] | None:
    """Counters of the limits that applied at the event time; `None` for an unknown feature.

    And of limits of other plans that count something else, as a sidecar counts on them, too.
    """
    entitlement = catalog.resolve(segment_at(snapshot, event_time_us), feature)
    if entitlement is None:
        return None
    limits = (*entitlement.limits, *catalog.also_counted(entitlement))
    found = _counted(snapshot, limits, event_time_us)
    counters: dict[CounterKey, None] = {}  # limits that count the same thing share a counter
    for limit, slot, window in found:
        values = scope_values(limit.scope, dimensions)
        if values is not None:
            counter = CounterRef(slot, values, window)
            counters[CounterKey(snapshot.company, feature, counter)] = None
    return tuple(counters)


def limits_at(
    catalog: CatalogIndex, snapshot: CompanySnapshot, feature: str, at_us: int
) -> Iterator[CountedLimit] | None:
    """A company's limits of a feature at an instant, each with its slot and its window then.

    `None` for a feature that the catalog lacks.
    """
    entitlement = catalog.resolve(segment_at(snapshot, at_us), feature)
    return None if entitlement is None else _counted(snapshot, entitlement.limits, at_us)


def _counted(
    snapshot: CompanySnapshot, limits: Iterable[Limit], at_us: int
) -> Iterator[CountedLimit]:
    phase = phase_at(snapshot, at_us)
    return (
        CountedLimit(
            limit,
            slot_of(limit, generation_of(phase, limit.window)),
            company_window(snapshot.phases, limit.window, at_us),
        )
        for limit in limits
        if limit.is_counted
    )


def fits_timeline(
    snapshot: CompanySnapshot, counters: Iterable[CounterKey], event_time_us: int
) -> bool:
    """Whether counters are of the generations that were in force at the event time."""
    last = snapshot.phases[-1]
    if not (last.generation or last.anchored_generation):  # they only grow: nothing started anew
        return not any(generation_in(key.counter.slot) for key in counters)
    phase = phase_at(snapshot, event_time_us)
    return all(_fits(phase, key.counter.slot) for key in counters)


def _fits(phase: Phase, slot: str) -> bool:
    generation = phase.anchored_generation if is_anchored(slot) else phase.generation
    return generation_in(slot) == generation
