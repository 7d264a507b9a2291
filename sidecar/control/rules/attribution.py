"""On which counters usage belongs.

Usually the sidecar says so. It cannot where it had no snapshot; and it may be wrong where it had an
older one, and did not know yet that usage was reset, or that the billing anchor moved or the time
zone changed, before the event.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import CompanySnapshot, Phase
from sidecar.domain.company.timeline import phase_at, segment_at
from sidecar.domain.credits.costs import cost_of_report, price_of_report
from sidecar.domain.entitlement.resolve import CatalogIndex, Entitlement
from sidecar.domain.limits.counters import (
    CounterRef,
    generation_in,
    scope_values,
    slot_of,
    window_in,
)
from sidecar.domain.seats.rules import generation_counted
from sidecar.domain.time.company_windows import company_window, generation_of_slot
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
    found = _counted(snapshot, entitlement, limits, event_time_us)
    counters: dict[CounterKey, None] = {}  # limits that count the same thing share a counter
    for limit, slot, window in found:
        values = scope_values(limit.scope, dimensions)
        if values is not None:
            counter = CounterRef(slot, values, window)
            counters[CounterKey(snapshot.company, feature, counter)] = None
    return tuple(counters)


def costs_of(
    catalog: CatalogIndex, feature: str, quantity: int, dimensions: Mapping[str, str]
) -> Mapping[str, int]:
    """What usage that has happened costs, by key of the credits feature, in micro-credits."""
    known = catalog.features.get(feature)
    costs: dict[str, int] = {}
    for each in () if known is None else known.costs:
        cost = cost_of_report(price_of_report(each.table, dimensions), quantity)
        if cost:
            costs[each.credits] = cost
    return costs


def limits_at(
    catalog: CatalogIndex, snapshot: CompanySnapshot, feature: str, at_us: int
) -> Iterator[CountedLimit] | None:
    """A company's limits of a feature at an instant, each with its slot and its window then.

    `None` for a feature that the catalog lacks.
    """
    entitlement = catalog.resolve(segment_at(snapshot, at_us), feature)
    if entitlement is None:
        return None
    return _counted(snapshot, entitlement, entitlement.limits, at_us)


def _counted(
    snapshot: CompanySnapshot, entitlement: Entitlement, limits: Iterable[Limit], at_us: int
) -> Iterator[CountedLimit]:
    phase = phase_at(snapshot, at_us)
    kind = entitlement.feature.kind
    return (
        CountedLimit(
            limit,
            slot_of(limit, generation_counted(phase, limit.window, kind)),
            company_window(snapshot.phases, limit.window, at_us),
        )
        for limit in limits
        if limit.is_counted
    )


def fits_timeline(
    snapshot: CompanySnapshot, counters: Iterable[CounterKey], event_time_us: int
) -> bool:
    """Whether counters are of the generations and windows that were in force at the event time."""
    phases, last = snapshot.phases, snapshot.phases[-1]
    refs = [key.counter for key in counters]
    if not (last.generation or last.anchored_generation):  # they only grow: nothing started anew
        if any(generation_in(ref.slot) for ref in refs):
            return False
    else:
        phase = phase_at(snapshot, event_time_us)
        if not all(_is_of(phase, ref.slot) for ref in refs):
            return False
    if all(phase.time_zone == last.time_zone for phase in phases):
        return True
    return all(_is_in_window(phases, ref, event_time_us) for ref in refs)


def _is_of(phase: Phase, slot: str) -> bool:
    return generation_in(slot) == generation_of_slot(phase, slot)


def _is_in_window(phases: Sequence[Phase], ref: CounterRef, event_time_us: int) -> bool:
    spec = window_in(ref.slot)
    return spec is None or company_window(phases, spec, event_time_us) == ref.window
