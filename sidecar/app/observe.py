"""Ties decisions, store and sync to the metrics that Prometheus reads."""

from __future__ import annotations

from sidecar import __version__
from sidecar.app.clock import PlaneClock
from sidecar.app.upkeep import Upkeep
from sidecar.domain.decision import Reason
from sidecar.ops.metrics import ALLOWED, DENIED, REPLAYED, SidecarMetrics, SidecarReadings
from sidecar.service.standing import Standing
from sidecar.storage.store import Store

_REASONS = ("", *(reason.name for reason in Reason))


class DecisionObserver:
    """Counts decisions and errors."""

    def __init__(self, metrics: SidecarMetrics) -> None:
        self._observe = metrics.decisions.observe
        self._errors = metrics.errors

    def decided(self, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int) -> None:
        """A check was answered, after so long."""
        result = REPLAYED if replayed else ALLOWED if allowed else DENIED
        self._observe(result, reason, nanoseconds // 1000)

    def failed(self, reason: str) -> None:
        """A check could not be answered."""
        self._errors.add(reason)


def sidecar_metrics(
    store: Store, standing: Standing, upkeep: Upkeep, clock: PlaneClock
) -> SidecarMetrics:
    """All metrics of a sidecar. What is read here are plain numbers in memory."""

    def lag_seconds() -> float | None:
        if standing.heard_us is None:
            return None
        return max(0, clock.now_us() - standing.heard_us) / 1_000_000

    def outbox_age_seconds() -> float:
        oldest_us = upkeep.vitals.oldest_accepted_us
        return 0.0 if oldest_us is None else max(0, clock.now_us() - oldest_us) / 1_000_000

    readings = SidecarReadings(
        outbox_records=store.waiting_records,
        outbox_bytes=lambda: upkeep.vitals.outbox_bytes,
        outbox_oldest_age_seconds=outbox_age_seconds,
        sync_lag_seconds=lag_seconds,
        plane_connected=lambda: int(standing.connected),
        snapshot_age_seconds=lag_seconds,
        clock_offset_seconds=lambda: standing.clock_offset_us / 1_000_000,
        store_used_bytes=lambda: upkeep.vitals.store_used_bytes,
        store_max_bytes=store.engine.max_bytes,
    )
    return SidecarMetrics(__version__, _REASONS, readings)
