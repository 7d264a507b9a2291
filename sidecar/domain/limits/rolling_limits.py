"""Which limits of a feature roll over: one rule for sidecar and control plane."""

from __future__ import annotations

from typing import Final

import msgspec

from sidecar.domain.catalog.model import Limit
from sidecar.domain.company.model import Segment, SubscriptionStatus
from sidecar.domain.entitlement.resolve import CatalogIndex
from sidecar.domain.limits.counters import slot_of
from sidecar.domain.time.company_windows import generation_of
from sidecar.domain.time.windows import WindowUnit

_OVER: Final = (SubscriptionStatus.CANCELED, SubscriptionStatus.ENDED)


def rolling_limits(index: CatalogIndex, segment: Segment, feature: str) -> dict[str, Limit]:
    """A feature's limits that roll over in a segment, by slot; of several the first counts.

    None does once the subscription has come to its end. An override wipes nothing: where it takes
    the place of a limit that rolls over, by none that does, the chain goes on by that limit, so
    that it is there again once the override has ended.
    """
    found: dict[str, Limit] = {}
    if segment.status in _OVER:
        return found
    without = tuple(each for each in segment.overrides if each.feature != feature)
    alike = [segment]
    if len(without) < len(segment.overrides):
        alike.append(msgspec.structs.replace(segment, overrides=without))
    for each in alike:
        entitlement = index.resolve(each, feature)
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
