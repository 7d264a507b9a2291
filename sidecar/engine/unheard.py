"""What may not be known here of a check's counters: it is asked for before anything is decided."""

from __future__ import annotations

from sidecar.directory.resolved import ResolvedFeature
from sidecar.domain.bounds import EVENT_PAST_US_MAX
from sidecar.domain.limits.counters import CounterName
from sidecar.domain.limits.reasons import Basis, by_default
from sidecar.domain.limits.requests import Check
from sidecar.engine.limit_usage import LimitUsage
from sidecar.engine.needs import Needs
from sidecar.engine.plane_status import PlaneStatus


def unheard_counters(
    reading: LimitUsage, feature: ResolvedFeature, check: Check, now_us: int, status: PlaneStatus
) -> frozenset[CounterName]:
    """Counters of which changes may have been missed here: see `LimitUsage.unheard`."""
    if not status.may_lack(check, now_us):
        return frozenset()
    return frozenset(reading.unheard(feature, now_us, status))


def basis_or_needs(
    unheard: frozenset[CounterName],
    check: Check,
    now_us: int,
    asked: Needs,
    basis: Basis,
    status: PlaneStatus,
) -> Basis | Needs:
    """What a decision is based on that lacks counters, or that these are to be asked for first.

    They are, once; but for a time of which there can be no check any more, and nobody tells.
    """
    if not unheard:
        return basis
    if not asked.counters and check.event_time_us >= now_us - EVENT_PAST_US_MAX:
        return Needs(counters=unheard)
    if basis.fallback:
        return basis
    unheard_basis = status.unheard_basis(basis.snapshot_version, now_us)
    return by_default(unheard_basis, basis.default_plan)
