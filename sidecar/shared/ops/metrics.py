"""The sidecar's metrics. What storage and sync know comes in as callables."""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, Metric

from sidecar.shared.ops.instruments import (
    BuildInfo,
    DurationHistogram,
    Instrument,
    LabelledCounter,
    MetricCounter,
    MetricReading,
    registry_of,
)
from sidecar.shared.ops.levels import Disk
from sidecar.shared.ops.trouble import Trouble

DENIED: Final = 0
ALLOWED: Final = 1
REPLAYED: Final = 2
"""Results of a decision; `allowed` of a new decision is its own result."""
_RESULTS: Final = ("denied", "allowed", "replayed")

Value = Callable[[], float | None]


class DecisionMetrics:
    """Counts decisions by result and reason, and their durations. For the event loop alone.

    `reasons` are the names of the reason numbers, from 0 on. `counted_reason`: the number that a
    usual decision has.
    """

    def __init__(self, reasons: Sequence[str], counted_reason: int = 1) -> None:
        self._reasons = tuple(reasons)
        self._counts = [0] * (len(_RESULTS) * len(self._reasons))
        self._width = len(self._reasons)
        self.durations = DurationHistogram(
            "tallyd_decision_duration_seconds",
            "Time from a request's arrival to its answer; a batch is one observation.",
        )
        self._observe_duration = self.durations.observe
        self._counted = ALLOWED * self._width + counted_reason

    def count(self, result: int, reason: int) -> None:
        """Count one decision; IndexError for a result or reason without a name."""
        self._counts[result * self._width + reason] += 1

    def observe(self, result: int, reason: int, microseconds: int) -> None:
        """Count one decision that was a call of its own, and its duration."""
        self._counts[result * self._width + reason] += 1
        self._observe_duration(microseconds)

    def observe_counted(self, nanoseconds: int) -> None:
        """Count one usual decision, allowed and counted, and its duration."""
        self._counts[self._counted] += 1
        durations = self.durations
        microseconds = nanoseconds // 1000
        # As `observe`: a call more is felt on the path of a check.
        durations.counts[bisect_left(durations.bounds_us, microseconds)] += 1
        durations.sum_us += microseconds

    def read(self) -> Metric:
        """Return the decisions; pairs that never occurred are left out."""
        family = CounterMetricFamily(
            "tallyd_decisions", "Decisions answered.", labels=("result", "reason")
        )
        for index, count in enumerate(tuple(self._counts)):
            if count:
                result, reason = divmod(index, self._width)
                family.add_metric((_RESULTS[result], self._reasons[reason]), count)
        return family


@dataclass(frozen=True, slots=True)
class SidecarReadings:
    """Where the gauges come from, called from the HTTP thread. None: there is no value."""

    outbox_records: Value
    outbox_bytes: Value
    outbox_oldest_age_seconds: Value
    """Age of the oldest record in the outbox; 0 when it is empty."""
    sync_lag_seconds: Value
    """Time since the control plane was last heard."""
    usage_age_seconds: Value
    """Time since all that others had counted was last known."""
    plane_connected: Value
    unreadable_companies: Value
    """Companies whose last news from the control plane could not be read."""
    snapshot_age_seconds: Value
    """Age of the oldest snapshot in use."""
    clock_offset_seconds: Value
    """The time gone by, which is the control plane's, minus this machine's clock."""
    clock_doubted_seconds: Value
    """What a clock says that is not believed yet, minus the time gone by."""
    store_used_bytes: Value
    store_max_bytes: Value
    quarantined: Value
    lost_stores: Value


class SidecarMetrics:
    """All metrics of a sidecar; `registry` is what the HTTP server exposes."""

    def __init__(
        self,
        version: str,
        reasons: Sequence[str],
        readings: SidecarReadings,
        more: Sequence[Instrument] = (),
    ) -> None:
        self.decisions = DecisionMetrics(reasons)
        self.errors = LabelledCounter("tallyd_errors", "Calls that ended in an error.", "reason")
        self.fallbacks = LabelledCounter(
            "tallyd_fallback_decisions", "Decisions by a fail policy.", "cause", "result"
        )
        self.shadow_denials = LabelledCounter(
            "tallyd_shadow_denials",
            "Checks that a SHADOW limit or rate would have denied.",
            "feature",
            "limit",
        )
        self.refusals = LabelledCounter(
            "tallyd_transport_refusals",
            "What the gRPC transport refused peers, by the bound that they passed.",
            "kind",
        )
        self.clock_jumps = LabelledCounter(
            "tallyd_clock_jumps",
            "Jumps of the control plane's and of this machine's clock.",
            "clock",
            "direction",
        )
        self.totals_left_out = MetricCounter(
            "tallyd_totals_left_out",
            "Totals of the control plane that cannot be kept, and were left out.",
        )
        self.registry: CollectorRegistry = registry_of(
            [
                self.decisions,
                self.decisions.durations,
                self.errors,
                self.fallbacks,
                self.shadow_denials,
                self.refusals,
                self.clock_jumps,
                self.totals_left_out,
                *_gauges(readings),
                *more,
                build_info("sidecar", version),
            ]
        )


def build_info(role: str, version: str) -> BuildInfo:
    """Return the metric that says what is running; `role` is "sidecar" or "control"."""
    return BuildInfo(
        "tallyd_build",
        "What is running.",
        role=role,
        version=version,
        python=platform.python_version(),
    )


def trouble_instruments(trouble: Trouble) -> list[Instrument]:
    """Whether a store is in trouble, and how often it was."""
    return [
        MetricReading(
            "tallyd_store_in_trouble",
            "1 while the store or database takes no records, else 0.",
            lambda: int(bool(trouble.reason)),
        ),
        MetricReading(
            "tallyd_store_troubles",
            "How often the store or database began to take no records.",
            lambda: trouble.times,
            kind="counter",
        ),
    ]


def disk_instruments(disk: Callable[[], Disk]) -> list[Instrument]:
    """What is left of a disk."""
    return [
        MetricReading(
            "tallyd_disk_free_bytes",
            "Bytes that are free on the disk of the store or database.",
            lambda: disk().free_bytes,
        ),
        MetricReading(
            "tallyd_disk_bytes",
            "Bytes of the disk of the store or database.",
            lambda: disk().size_bytes,
        ),
    ]


def _gauges(readings: SidecarReadings) -> list[MetricReading]:
    return [
        MetricReading(
            "tallyd_outbox_records",
            "Usage records that wait for the control plane.",
            readings.outbox_records,
        ),
        MetricReading(
            "tallyd_outbox_bytes",
            "Bytes of the usage records that wait.",
            readings.outbox_bytes,
        ),
        MetricReading(
            "tallyd_outbox_oldest_age_seconds",
            "Age of the oldest usage record that waits; 0 when none does.",
            readings.outbox_oldest_age_seconds,
        ),
        MetricReading(
            "tallyd_sync_lag_seconds",
            "Time since the control plane was last heard.",
            readings.sync_lag_seconds,
        ),
        MetricReading(
            "tallyd_usage_age_seconds",
            "Time since all that other sidecars had counted was last known here.",
            readings.usage_age_seconds,
        ),
        MetricReading(
            "tallyd_plane_connected",
            "1 while connected to the control plane, else 0.",
            readings.plane_connected,
        ),
        MetricReading(
            "tallyd_unreadable_companies",
            "Companies whose last news from the control plane could not be read.",
            readings.unreadable_companies,
        ),
        MetricReading(
            "tallyd_snapshot_age_seconds",
            "Age of the oldest snapshot in use.",
            readings.snapshot_age_seconds,
        ),
        MetricReading(
            "tallyd_clock_offset_seconds",
            "The time gone by, which is the control plane's, minus this machine's clock.",
            readings.clock_offset_seconds,
        ),
        MetricReading(
            "tallyd_clock_doubted_seconds",
            "What a clock that jumped says beyond the time gone by, until it is believed.",
            readings.clock_doubted_seconds,
        ),
        MetricReading(
            "tallyd_store_used_bytes",
            "Bytes of the store in use.",
            readings.store_used_bytes,
        ),
        MetricReading(
            "tallyd_store_max_bytes",
            "Bytes that the store may grow to.",
            readings.store_max_bytes,
        ),
        *_damage_gauges(readings),
    ]


def _damage_gauges(readings: SidecarReadings) -> list[MetricReading]:
    return [
        MetricReading(
            "tallyd_quarantined",
            "What was damaged in the store and set aside: usage records, counters and the like.",
            readings.quarantined,
        ),
        MetricReading(
            "tallyd_lost_stores",
            "Stores that were here before, and are gone with what they had not sent.",
            readings.lost_stores,
        ),
    ]
