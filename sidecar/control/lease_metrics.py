"""The control plane's metrics of leases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from sidecar.control.services.lease_maintenance import FeatureLeases
from sidecar.domain.leases.model import LeaseResult
from sidecar.shared.ops.instruments import (
    OTHER,
    Instrument,
    LabelledCounter,
    LabelledReading,
    MetricCounter,
    MetricReading,
)

FEATURES_SHOWN_MAX: Final = 200


class LeaseMetrics:
    """Counts as they happen, and `features` as they were at the last look."""

    def __init__(self) -> None:
        self.features: Mapping[str, FeatureLeases] = {}
        self.missing_holders = 0
        self.recovering = False
        self.witness_rewrites = 0
        self.requests = LabelledCounter(
            "tallyd_lease_requests",
            "Requests of sidecars for leases, by what became of them.",
            "status",
        )
        self.recalled = MetricCounter(
            "tallyd_recalled_leases", "Leases that sidecars were asked to give back."
        )
        self.released = MetricCounter(
            "tallyd_released_leases",
            "Leases that were ended without their holders' word, after a silence or by hand.",
        )
        self.reported = MetricCounter(
            "tallyd_reported_leases",
            "Leases that the plane had forgotten, and that their holders told it.",
        )
        self.reports_refused = MetricCounter(
            "tallyd_refused_lease_reports",
            "Leases that holders told of, and that cannot have been granted.",
        )

    def answered(self, results: Iterable[LeaseResult]) -> None:
        """Requests were answered."""
        for result in results:
            self.requests.add(result.status.name.lower())

    def instruments(self) -> list[Instrument]:
        """What Prometheus reads, from the HTTP thread."""
        return [
            self.requests,
            self.recalled,
            self.released,
            self.reported,
            self.reports_refused,
            LabelledReading(
                "tallyd_leases",
                "Leases of which something is outstanding, by feature.",
                ("feature",),
                lambda: self._values("leases"),
            ),
            LabelledReading(
                "tallyd_outstanding_leased_units",
                "What is leased and not known to be used, in the feature's unit.",
                ("feature",),
                lambda: self._values("outstanding"),
            ),
            LabelledReading(
                "tallyd_burned_leased_units",
                "The part of it that silent sidecars hold, in the feature's unit.",
                ("feature",),
                lambda: self._values("burned"),
            ),
            LabelledReading(
                "tallyd_overcommitted_counters",
                "Counters of which more is used and leased than their limits allow, by feature.",
                ("feature",),
                lambda: self._values("overcommitted"),
            ),
            MetricReading(
                "tallyd_lease_recovering",
                "1 while leases are withheld since the database lost state, else 0.",
                lambda: int(self.recovering),
            ),
            MetricReading(
                "tallyd_lease_missing_holders",
                "Sidecars that have not told what they hold since then.",
                lambda: self.missing_holders,
            ),
            MetricReading(
                "tallyd_lease_witness_rewrites",
                "Times that the file beside the database which knows of leases was gone, and made.",
                lambda: self.witness_rewrites,
                kind="counter",
            ),
        ]

    def _values(self, name: str) -> Iterable[tuple[Sequence[str], float]]:
        rest = 0
        features = self.features
        for at, feature in enumerate(sorted(features)):
            value = getattr(features[feature], name)
            if at < FEATURES_SHOWN_MAX:
                yield (feature,), value
            else:
                rest += value
        if len(features) > FEATURES_SHOWN_MAX:
            yield (OTHER,), rest
