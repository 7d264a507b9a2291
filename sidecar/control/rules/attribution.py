"""On which counters usage belongs that a sidecar recorded without a snapshot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sidecar.control.storage.values import CounterKey
from sidecar.domain.catalog import CompanySnapshot, Limit
from sidecar.domain.counters import CounterRef, scope_values, slot_of
from sidecar.domain.entitlements import CatalogIndex
from sidecar.domain.timeline import segment_at
from sidecar.domain.windows import Window, window_at


def attribute(
    catalog: CatalogIndex,
    snapshot: CompanySnapshot,
    feature: str,
    event_time_us: int,
    dimensions: Mapping[str, str],
) -> tuple[CounterKey, ...] | None:
    """Counters of the limits that applied at the event time; `None` for an unknown feature."""
    found = limits_at(catalog, snapshot, feature, event_time_us)
    if found is None:
        return None
    counters: dict[CounterKey, None] = {}  # limits that count the same thing share a counter
    for limit, window in found:
        values = scope_values(limit, dimensions)
        if values is not None:
            counter = CounterRef(slot_of(limit), values, window)
            counters[CounterKey(snapshot.company, feature, counter)] = None
    return tuple(counters)


def limits_at(
    catalog: CatalogIndex, snapshot: CompanySnapshot, feature: str, at_us: int
) -> Iterator[tuple[Limit, Window]] | None:
    """A company's limits of a feature at an instant, each with its window then.

    `None` for a feature that the catalog lacks.
    """
    entitlement = catalog.resolve(segment_at(snapshot, at_us), feature)
    if entitlement is None:
        return None
    return (
        (
            limit,
            window_at(
                limit.window, at_us, time_zone=snapshot.time_zone, anchor_us=snapshot.anchor_us
            ),
        )
        for limit in entitlement.limits
    )
