"""What may not be known here of a check's counters: it is asked for before anything is decided."""

from __future__ import annotations

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.requests import Check
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.plane_status import PlaneStatus


def unheard_counters(
    reading: LimitUsage, feature: ResolvedFeature, check: Check, now_us: int, status: PlaneStatus
) -> frozenset[CounterName]:
    """Counters of which changes may have been missed here: see `LimitUsage.unheard`."""
    if not status.may_lack(check, now_us):
        return frozenset()
    return frozenset(reading.unheard(feature, now_us, status))
