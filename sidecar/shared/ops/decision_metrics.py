"""Decisions by feature, result and reason, and how long they took."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily, Metric

from sidecar.shared.ops.instruments import OTHER, DurationHistogram

DENIED: Final = 0
ALLOWED: Final = 1
REPLAYED: Final = 2
"""Results of a decision; `allowed` of a new decision is its own result."""
_RESULTS: Final = ("denied", "allowed", "replayed")

FEATURES_MAX: Final = 200
"""Features that are told apart: those that were decided about first. The rest are "other"."""


class DecisionMetrics:
    """Counts decisions, and their durations. For the event loop alone.

    `reasons` are the names of the reason numbers, from 0 on. `is_feature`: whether the catalog has
    a feature of a name; callers choose names, and no other becomes a label. `counted_reason`: the
    number that a usual decision has.
    """

    def __init__(
        self, reasons: Sequence[str], is_feature: Callable[[str], bool], counted_reason: int = 1
    ) -> None:
        self._reasons = tuple(reasons)
        self._is_feature = is_feature
        self._width = len(self._reasons)
        self._others = self._new_row()
        self._rows = {OTHER: self._others}
        self.durations = DurationHistogram(
            "tallyd_decision_duration_seconds",
            "Time from a request's arrival to its answer; in a batch, a check's share of it.",
        )
        self._observe_duration = self.durations.observe
        self._counted = ALLOWED * self._width + counted_reason

    def observe(self, feature: str, result: int, reason: int, microseconds: int) -> None:
        """Count one decision, and its duration; IndexError for what has no name."""
        row = self._rows.get(feature) or self._admit(feature)
        row[result * self._width + reason] += 1
        self._observe_duration(microseconds)

    def observe_counted(self, feature: str, nanoseconds: int) -> None:
        """Count one usual decision, allowed and counted, and its duration."""
        row = self._rows.get(feature) or self._admit(feature)
        row[self._counted] += 1
        durations = self.durations
        microseconds = nanoseconds // 1000
        # As `observe`: a call more is felt on the path of a check.
        durations.counts[bisect_left(durations.bounds_us, microseconds)] += 1
        durations.sum_us += microseconds

    def read(self) -> Metric:
        """Return the decisions; what never occurred is left out."""
        family = CounterMetricFamily(
            "tallyd_decisions",
            "Decisions answered, by feature, result and reason.",
            labels=("feature", "result", "reason"),
        )
        for feature, row in tuple(self._rows.items()):
            for index, count in enumerate(tuple(row)):
                if count:
                    result, reason = divmod(index, self._width)
                    labels = (feature, _RESULTS[result], self._reasons[reason])
                    family.add_metric(labels, count)
        return family

    def _admit(self, feature: str) -> list[int]:
        """The counts to use for a feature that has none yet."""
        # One of them is "other".
        if len(self._rows) > FEATURES_MAX or not self._is_feature(feature):
            return self._others
        row = self._rows[feature] = self._new_row()
        return row

    def _new_row(self) -> list[int]:
        return [0] * (len(_RESULTS) * self._width)
