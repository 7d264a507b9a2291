"""The sidecar's metrics. What storage and sync know comes in as callables."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry

from sidecar.shared.ops.call_metrics import CallMetrics
from sidecar.shared.ops.decision_metrics import DecisionMetrics
from sidecar.shared.ops.instruments import (
    BuildInfo,
    Instrument,
    LabelledCounter,
    MetricCounter,
    MetricReading,
    registry_of,
)
from sidecar.shared.ops.levels import Disk
from sidecar.shared.ops.trouble import Trouble

Value = Callable[[], float | None]


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
    clock_offset_seconds: Value
    """The time gone by, which is the control plane's, minus this machine's clock."""
    clock_doubted_seconds: Value
    """What a clock says that is not believed yet, minus the time gone by."""
    store_used_bytes: Value
    store_max_bytes: Value
    quarantined_entries: Value
    lost_stores: Value


class SidecarMetrics:
    """All metrics of a sidecar; `registry` is what the HTTP server exposes.

    `reasons`, `is_feature`: see `DecisionMetrics`.
    """

    def __init__(
        self,
        version: str,
        reasons: Sequence[str],
        is_feature: Callable[[str], bool],
        readings: SidecarReadings,
        more: Sequence[Instrument] = (),
    ) -> None:
        self.decisions = DecisionMetrics(reasons, is_feature)
        self.calls = CallMetrics()
        self.errors = LabelledCounter(
            "tallyd_check_errors", "Checks that could not be answered, by reason.", "reason"
        )
        self.fallbacks = LabelledCounter(
            "tallyd_fallback_decisions",
            "Decisions by a fail policy, by cause and result.",
            "cause",
            "result",
        )
        self.shadow_denials = LabelledCounter(
            "tallyd_shadow_denials",
            "Checks that a SHADOW limit or rate would have denied.",
            "feature",
            "limit",
        )
        self.low_balances = LabelledCounter(
            "tallyd_low_balances",
            "Checks that took a balance of credits to a low one, or below.",
            "feature",
        )
        self.dimension_problems = LabelledCounter(
            "tallyd_dimension_problems",
            "Requests whose dimensions were not as their feature declares, by feature and fault.",
            "feature",
            "fault",
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
                self.calls,
                self.errors,
                self.fallbacks,
                self.shadow_denials,
                self.low_balances,
                self.dimension_problems,
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
            "Time since the control plane was last heard: how old snapshots may be.",
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
            "tallyd_quarantined_entries",
            "What was damaged in the store and set aside: usage records, counters and the like.",
            readings.quarantined_entries,
        ),
        MetricReading(
            "tallyd_lost_stores",
            "Stores that were here before, and are gone with what they had not sent.",
            readings.lost_stores,
        ),
    ]
