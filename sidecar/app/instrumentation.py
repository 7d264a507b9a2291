"""Ties decisions, store and sync to the metrics that Prometheus reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sidecar import __version__
from sidecar.app.clock import PlaneClock
from sidecar.app.maintenance import Maintenance
from sidecar.domain.limits.reasons import FallbackCause, Reason
from sidecar.domain.time.units import SECOND_US
from sidecar.engine.plane_status import PlaneStatus
from sidecar.shared.ops.decision_metrics import ALLOWED, DENIED, REPLAYED
from sidecar.shared.ops.instruments import Instrument
from sidecar.shared.ops.metrics import SidecarMetrics, SidecarReadings
from sidecar.storage.store_handle import StoreHandle

_REASONS = ("", *(reason.name for reason in Reason))


def _nobody(_reason: str, _error: str) -> None:
    """Tell nobody."""


class DecisionObserver:
    """Counts decisions and errors. `failed` is told the reason of each error."""

    def __init__(
        self, metrics: SidecarMetrics, failed: Callable[[str, str], None] = _nobody
    ) -> None:
        self._failed = failed
        self._observe = metrics.decisions.observe
        self.counted = metrics.decisions.observe_counted
        self._errors = metrics.errors
        self._fallbacks = metrics.fallbacks
        self._shadow_denials = metrics.shadow_denials
        self._low_balances = metrics.low_balances

    def decided(
        self, feature: str, allowed: bool, reason: Reason, replayed: bool, nanoseconds: int
    ) -> None:
        """A check was answered, after so long."""
        result = REPLAYED if replayed else ALLOWED if allowed else DENIED
        self._observe(feature, result, reason, nanoseconds // 1000)

    def fell_back(self, cause: FallbackCause, allowed: bool) -> None:
        """The fail policy decided about a check."""
        self._fallbacks.add(cause.name, "allowed" if allowed else "denied")

    def shadow_denied(self, feature: str, limits: Sequence[str]) -> None:
        """SHADOW limits of a feature would have denied a check."""
        for limit in limits:
            self._shadow_denials.add(feature, limit)

    def fell_low(self, feature: str) -> None:
        """A check took a balance of credits to a low one, or below."""
        self._low_balances.add(feature)

    def failed(self, reason: str) -> None:
        """A check could not be answered."""
        self._errors.add(reason)
        self._failed(reason, "calls fail")


def sidecar_metrics(
    opened: StoreHandle,
    plane_status: PlaneStatus,
    maintenance: Maintenance,
    clock: PlaneClock,
    unreadable_companies: Callable[[], int],
    is_feature: Callable[[str], bool],
    more: Sequence[Instrument],
) -> SidecarMetrics:
    """All metrics of a sidecar. What is read here are plain numbers in memory."""
    store = opened.store

    def since(at_us: int | None) -> float | None:
        return None if at_us is None else max(0, clock.now_us() - at_us) / SECOND_US

    def outbox_age_seconds() -> float:
        oldest_us = maintenance.vitals.oldest_accepted_us
        return 0.0 if oldest_us is None else max(0, clock.now_us() - oldest_us) / SECOND_US

    readings = SidecarReadings(
        outbox_records=store.waiting_records,
        outbox_bytes=lambda: maintenance.vitals.outbox_bytes,
        outbox_oldest_age_seconds=outbox_age_seconds,
        sync_lag_seconds=lambda: since(plane_status.heard_us),
        usage_age_seconds=lambda: since(plane_status.known_us),
        plane_connected=lambda: int(plane_status.connected),
        unreadable_companies=unreadable_companies,
        clock_offset_seconds=lambda: clock.offset_us / SECOND_US,
        clock_doubted_seconds=lambda: clock.doubted_us / SECOND_US,
        store_used_bytes=lambda: maintenance.vitals.store_used_bytes,
        store_max_bytes=store.engine.max_bytes,
        quarantined_entries=lambda: sum(maintenance.vitals.quarantined.values()),
        lost_stores=lambda: len(opened.losses),
    )
    metrics = SidecarMetrics(__version__, _REASONS, is_feature, readings, more)
    clock.count_jump = metrics.clock_jumps.add
    return metrics
