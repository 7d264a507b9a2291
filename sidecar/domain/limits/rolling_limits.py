"""Which limits of a feature roll over: one rule for sidecar and control plane."""

from __future__ import annotations

from typing import Final

from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.company_windows import generation_of
from sidecar.domain.time.windows import WindowUnit

_OVER: Final = (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)


def rolling_limits(index: CatalogIndex, segment: Segment, feature: str) -> dict[str, Limit]:
    """A feature's limits that roll over in a segment, by slot; of several the first counts.

    None does once the subscription has come to its end; a pause does not matter.
    """
    entitlement = None if segment.status in _OVER else index.resolve(segment, feature)
    found: dict[str, Limit] = {}
    for limit in () if entitlement is None else entitlement.limits:
        if _rolls_over(limit):
            found.setdefault(slot_of(limit, generation_of(segment, limit.window)), limit)
    return found


def _rolls_over(limit: Limit) -> bool:
    return (
        limit.rollover is not None
        and limit.amount is not None
        and not limit.scope.dimensions
        and limit.window.unit is not WindowUnit.LIFETIME
    )
