"""Instruments made of plain integers, and a collector that reads them when Prometheus asks.

For one writing thread (the event loop) and any number of reading ones: an increment is a load and
a store, so two writers could lose one, while a reader sees at worst the moment before.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import accumulate
from typing import Final, Literal, Protocol

import structlog
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

MICROSECOND_BUCKETS: Final = (
    *(25, 50, 75, 100, 150, 250, 500, 1_000, 2_500, 5_000, 10_000),
    *(25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000),
)
"""Upper bounds of a call's duration, inclusive."""
LABEL_SETS_MAX: Final = 1000
"""Label sets of one counter; what comes after them counts as `OTHER`."""
OTHER: Final = "other"
"""The label of what is not told apart."""

_log = structlog.get_logger(__name__)


class Instrument(Protocol):
    """Something that can be read at scrape time."""

    def read(self) -> Metric | None:
        """Return the metric as it is now; None where there is nothing to say yet."""


class MetricCounter:
    """A count that only grows, without labels."""

    def __init__(self, name: str, help_text: str) -> None:
        self._name, self._help = name, help_text
        self.value = 0

    def add(self, amount: int = 1) -> None:
        """Count `amount`, at least 0."""
        self.value += amount

    def read(self) -> Metric:
        """Return the count."""
        return CounterMetricFamily(self._name, self._help, value=self.value)


class LabelledCounter:
    """Counts that only grow, one for each set of label values; the number of sets is bounded."""

    def __init__(self, name: str, help_text: str, *labels: str) -> None:
        self._name, self._help, self._labels = name, help_text, labels
        self._other = (OTHER,) * len(labels)
        self._values: dict[tuple[str, ...], int] = {}

    def add(self, *label_values: str, amount: int = 1) -> None:
        """Count `amount`, at least 0, under the values, given in the order of the labels."""
        known = self._values
        if label_values not in known:
            label_values = self._admit(label_values)
        known[label_values] = known.get(label_values, 0) + amount

    def _admit(self, label_values: tuple[str, ...]) -> tuple[str, ...]:
        """Return the label set to count new values under."""
        if len(label_values) != len(self._labels):
            raise ValueError(f"{self._name} takes {self._labels}, not {label_values}")
        return label_values if len(self._values) < LABEL_SETS_MAX else self._other

    def read(self) -> Metric:
        """Return all counts."""
        family = CounterMetricFamily(self._name, self._help, labels=self._labels)
        for label_values, value in tuple(self._values.items()):
            family.add_metric(label_values, value)
        return family


class DurationHistogram:
    """A histogram of durations, observed in microseconds and exposed in seconds.

    `counts`: of each of `bounds_us`, inclusive, and of what is longer; `sum_us`: of all.
    """

    def __init__(
        self, name: str, help_text: str, buckets_us: Sequence[int] = MICROSECOND_BUCKETS
    ) -> None:
        self._name, self._help = name, help_text
        self.bounds_us = tuple(buckets_us)
        self.counts = [0] * (len(self.bounds_us) + 1)  # the last is +Inf
        self.sum_us = 0

    def observe(self, microseconds: int) -> None:
        """Count one duration."""
        self.counts[bisect_left(self.bounds_us, microseconds)] += 1
        self.sum_us += microseconds

    def read(self) -> Metric:
        """Return cumulative buckets, count and sum in seconds."""
        bounds = [*(repr(bound / 1e6) for bound in self.bounds_us), "+Inf"]
        buckets = list(zip(bounds, accumulate(self.counts), strict=True))
        return HistogramMetricFamily(
            self._name, self._help, buckets=buckets, sum_value=self.sum_us / 1e6
        )


class MetricReading:
    """A value that its owner tells at scrape time; None means that there is none just now.

    `value` is called from the HTTP thread.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        value: Callable[[], float | None],
        kind: Literal["gauge", "counter"] = "gauge",
    ) -> None:
        self._name, self._help, self._value = name, help_text, value
        self._family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily

    def read(self) -> Metric | None:
        """Ask for the value."""
        value = self._value()
        return None if value is None else self._family(self._name, self._help, value=value)


class LabelledReading:
    """Values that their owner tells at scrape time, one for each set of label values.

    `values` is called from the HTTP thread, and bounds their number.
    """

    def __init__(
        self,
        name: str,
        help_text: str,
        labels: Sequence[str],
        values: Callable[[], Iterable[tuple[Sequence[str], float]]],
        kind: Literal["gauge", "counter"] = "gauge",
    ) -> None:
        self._name, self._help, self._labels, self._values = name, help_text, labels, values
        self._family = GaugeMetricFamily if kind == "gauge" else CounterMetricFamily

    def read(self) -> Metric:
        """Ask for the values."""
        family = self._family(self._name, self._help, labels=self._labels)
        for label_values, value in self._values():
            family.add_metric(label_values, value)
        return family


class BuildInfo:
    """What is running, as labels of a metric that is always 1."""

    def __init__(self, name: str, help_text: str, **labels: str) -> None:
        self._name, self._help, self._labels = name, help_text, labels

    def read(self) -> Metric:
        """Return the labels."""
        return InfoMetricFamily(self._name, self._help, value=self._labels)


class InstrumentCollector(Collector):
    """Reads instruments at scrape time. One that fails is left out and counted, not the scrape."""

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        self._failures = MetricCounter(
            "tallyd_metrics_read_failures", "Metrics that could not be read for a scrape."
        )
        self._instruments = (*instruments, self._failures)

    def describe(self) -> Iterable[Metric]:
        """Say nothing beforehand, so that registering reads no instrument."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Read every instrument."""
        for instrument in self._instruments:
            try:
                metric = instrument.read()
            except Exception:
                self._failures.add()
                _log.exception("metric not readable", instrument=type(instrument).__name__)
                continue
            if metric is not None:
                yield metric


def registry_of(instruments: Iterable[Instrument]) -> CollectorRegistry:
    """Return a registry of the instruments and the process's own CPU, memory and file handles."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(InstrumentCollector(instruments))
    ProcessCollector(registry=registry)
    return registry
