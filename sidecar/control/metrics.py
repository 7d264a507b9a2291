"""The control plane's metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from sidecar.shared.ops.instruments import MetricCounter, MetricReading, registry_of
from sidecar.shared.ops.metrics import Value, build_info


class ControlMetrics:
    """All metrics of a control plane; `registry` is what the HTTP server exposes.

    Readings are called from the HTTP thread.
    """

    def __init__(
        self,
        version: str,
        *,
        watchers: Value,
        revision: Value,
        dropped_totals: Value,
        clock_held: Value,
    ) -> None:
        self.records = MetricCounter(
            "tallyd_ledger_records", "Usage records taken into the ledger."
        )
        self.carried = MetricCounter(
            "tallyd_rollovers", "Changes of what is carried into a window from the one before."
        )
        self.registry: CollectorRegistry = registry_of(
            [
                self.records,
                self.carried,
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
                build_info("control", version),
            ]
        )
