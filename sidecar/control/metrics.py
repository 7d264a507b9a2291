"""The control plane's metrics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from prometheus_client import CollectorRegistry

from sidecar.control.lease_metrics import LeaseMetrics
from sidecar.control.sidecar_metrics import HeardSidecars
from sidecar.control.storage.values import LossCount
from sidecar.shared.ops.call_metrics import CallMetrics
from sidecar.shared.ops.instruments import (
    Instrument,
    LabelledCounter,
    MetricCounter,
    MetricReading,
    registry_of,
)
from sidecar.shared.ops.metrics import Value, build_info


class ControlMetrics:
    """All metrics of a control plane; `registry` is what the HTTP server exposes.

    `clock` gives microseconds since the Unix epoch. Readings are called from the HTTP thread.
    """

    def __init__(
        self,
        version: str,
        clock: Callable[[], int],
        *,
        watchers: Value,
        revision: Value,
        dropped_totals: Value,
        clock_held: Value,
        losses: Callable[[], LossCount],
        more: Sequence[Instrument] = (),
    ) -> None:
        self.records = MetricCounter(
            "tallyd_ledger_records", "Usage records taken into the ledger."
        )
        self.unreadable = MetricCounter(
            "tallyd_unreadable_records", "Usage records that could not be read: on no counter."
        )
        self.carried = MetricCounter(
            "tallyd_rollovers", "Changes of what is carried into a window from the one before."
        )
        self.filled = MetricCounter(
            "tallyd_filled_counters",
            "Counters of new limits to which usage was added from the ledger.",
        )
        self.increments = MetricCounter(
            "tallyd_ledger_increments", "Counters that pushes of usage have moved."
        )
        self.applied = MetricCounter(
            "tallyd_applied_changes", "Features, plans, add-ons and companies changed by Apply."
        )
        self.subscription_changes = LabelledCounter(
            "tallyd_subscription_changes", "Changes of subscriptions, by kind.", "change"
        )
        self.credit_changes = _credit_changes()
        self.calls = CallMetrics()
        self.leases = LeaseMetrics()
        self.sidecars = HeardSidecars(clock)
        self.registry: CollectorRegistry = registry_of(
            [
                self.records,
                self.unreadable,
                self.carried,
                self.filled,
                self.increments,
                self.applied,
                self.subscription_changes,
                self.credit_changes,
                self.calls,
                *self.leases.instruments(),
                *self.sidecars.instruments(),
                MetricReading("tallyd_watchers", "Sidecars that watch for changes.", watchers),
                MetricReading("tallyd_revision", "Revision of catalog and companies.", revision),
                MetricReading(
                    "tallyd_dropped_totals",
                    "Totals that watchers were not told of, since too many waited.",
                    dropped_totals,
                    kind="counter",
                ),
                MetricReading(
                    "tallyd_clock_held_seconds",
                    "How far this machine's clock has leapt ahead of what is believed of it.",
                    clock_held,
                ),
                *_loss_readings(losses),
                *more,
                build_info("control", version),
            ]
        )


def _credit_changes() -> LabelledCounter:
    return LabelledCounter(
        "tallyd_credit_changes", "Grants of credits, voids and refunds.", "change"
    )


def _loss_readings(losses: Callable[[], LossCount]) -> list[Instrument]:
    return [
        MetricReading(
            "tallyd_unacknowledged_losses",
            "Losses of usage that no operator has acknowledged.",
            lambda: losses().losses,
        ),
        MetricReading(
            "tallyd_lost_records",
            "Records of these losses, as far as they are known.",
            lambda: losses().records,
        ),
    ]
