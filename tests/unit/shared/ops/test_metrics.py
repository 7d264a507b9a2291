import dataclasses
from collections.abc import Callable

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from sidecar.shared.ops.decision_metrics import ALLOWED
from sidecar.shared.ops.instruments import (
    LABEL_SETS_MAX,
    DurationHistogram,
    LabelledCounter,
    MetricCounter,
    MetricReading,
    registry_of,
)
from sidecar.shared.ops.metrics import SidecarMetrics, SidecarReadings

FEATURES = {"calls", "tokens"}
REASONS = ("UNSPECIFIED", "ALLOWED", "LIMIT_EXCEEDED")
VALUES = {
    field.name: float(number)
    for number, field in enumerate(dataclasses.fields(SidecarReadings), start=1)
}


def readings(**changed: Callable[[], float | None]) -> SidecarReadings:
    def constant(value: float) -> Callable[[], float | None]:
        return lambda: value

    return SidecarReadings(**{name: constant(value) for name, value in VALUES.items()} | changed)


def exposed(registry: CollectorRegistry) -> dict[str, Metric]:
    text = generate_latest(registry).decode()
    families = list(text_string_to_metric_families(text))
    assert len({family.name for family in families}) == len(families)
    return {family.name: family for family in families}


def samples(family: Metric) -> dict[tuple[str, ...], float]:
    """Return values by label values, in the order of the labels' names."""
    return {
        tuple(value for _, value in sorted(sample.labels.items())): sample.value
        for sample in family.samples
    }


def test_the_exposition_has_every_metric_with_help_and_type() -> None:
    metrics = SidecarMetrics("1.2.3", REASONS, FEATURES.__contains__, readings())
    metrics.decisions.observe("calls", ALLOWED, 1, 80)
    metrics.errors.add("INVALID_ARGUMENT")

    families = exposed(metrics.registry)

    assert {name: f.type for name, f in families.items() if name.startswith("tallyd_")} == {
        "tallyd_decisions": "counter",
        "tallyd_decision_duration_seconds": "histogram",
        "tallyd_grpc_calls": "counter",
        "tallyd_check_errors": "counter",
        "tallyd_fallback_decisions": "counter",
        "tallyd_shadow_denials": "counter",
        "tallyd_low_balances": "counter",
        "tallyd_dimension_problems": "counter",
        "tallyd_transport_refusals": "counter",
        "tallyd_totals_left_out": "counter",
        "tallyd_outbox_records": "gauge",
        "tallyd_outbox_bytes": "gauge",
        "tallyd_outbox_oldest_age_seconds": "gauge",
        "tallyd_sync_lag_seconds": "gauge",
        "tallyd_usage_age_seconds": "gauge",
        "tallyd_plane_connected": "gauge",
        "tallyd_clock_offset_seconds": "gauge",
        "tallyd_clock_doubted_seconds": "gauge",
        "tallyd_unreadable_companies": "gauge",
        "tallyd_clock_jumps": "counter",
        "tallyd_store_used_bytes": "gauge",
        "tallyd_store_max_bytes": "gauge",
        "tallyd_quarantined_entries": "gauge",
        "tallyd_lost_stores": "gauge",
        "tallyd_build_info": "gauge",
        "tallyd_metrics_read_failures": "counter",
    }
    assert [name for name, family in families.items() if not family.documentation] == []


def test_each_gauge_has_its_own_reading() -> None:
    families = exposed(SidecarMetrics("1.2.3", REASONS, FEATURES.__contains__, readings()).registry)

    assert {name: samples(families[f"tallyd_{name}"])[()] for name in VALUES} == VALUES


@pytest.mark.parametrize(
    ("microseconds", "bucket"),
    [(0, "2.5e-05"), (25, "2.5e-05"), (26, "5e-05"), (1_000, "0.001"), (9_999_999, "+Inf")],
)
def test_a_duration_falls_into_its_bucket(microseconds: int, bucket: str) -> None:
    histogram = DurationHistogram("tallyd_test_seconds", "Test.")
    histogram.observe(microseconds)

    family = exposed(registry_of([histogram]))["tallyd_test_seconds"]

    buckets = {s.labels["le"]: s.value for s in family.samples if "le" in s.labels}
    assert next(bound for bound, count in buckets.items() if count) == bucket
    assert list(buckets.values()) == sorted(buckets.values())
    assert buckets["+Inf"] == 1


def test_a_histogram_sums_in_seconds() -> None:
    histogram = DurationHistogram("tallyd_test_seconds", "Test.")
    for microseconds in (100, 250, 2_000_000):
        histogram.observe(microseconds)

    family = exposed(registry_of([histogram]))["tallyd_test_seconds"]

    totals = {s.name: s.value for s in family.samples if "le" not in s.labels}
    assert totals == {"tallyd_test_seconds_count": 3, "tallyd_test_seconds_sum": 2.00035}


def test_a_reading_without_a_value_is_left_out() -> None:
    registry = SidecarMetrics(
        "1", REASONS, FEATURES.__contains__, readings(sync_lag_seconds=lambda: None)
    ).registry

    assert "tallyd_sync_lag_seconds" not in exposed(registry)


def test_a_reading_that_fails_is_left_out_and_counted() -> None:
    def fail() -> float:
        raise OSError("store closed")

    registry = SidecarMetrics(
        "1", REASONS, FEATURES.__contains__, readings(store_used_bytes=fail)
    ).registry

    families = exposed(registry)
    assert "tallyd_store_used_bytes" not in families
    assert samples(families["tallyd_store_max_bytes"])[()] == VALUES["store_max_bytes"]
    assert samples(families["tallyd_metrics_read_failures"])[()] == 1


def test_registering_reads_nothing() -> None:
    def fail() -> float:
        raise AssertionError("read before a scrape")

    registry_of([MetricReading("tallyd_test", "Test.", fail)])


def test_build_info_says_what_runs() -> None:
    family = exposed(SidecarMetrics("1.2.3", REASONS, FEATURES.__contains__, readings()).registry)[
        "tallyd_build_info"
    ]

    (sample,) = family.samples
    assert sample.value == 1
    assert {"role": "sidecar", "version": "1.2.3"}.items() <= sample.labels.items()


def test_label_sets_are_bounded() -> None:
    counter = LabelledCounter("tallyd_test", "Test.", "reason")
    for number in range(LABEL_SETS_MAX + 5):
        counter.add(f"r{number}")
    counter.add("r0", amount=2)

    counted = samples(exposed(registry_of([counter]))["tallyd_test"])

    assert len(counted) == LABEL_SETS_MAX + 1
    assert counted["other",] == 5
    assert counted["r0",] == 3


def test_a_label_too_few_is_a_programming_error() -> None:
    with pytest.raises(ValueError, match="tallyd_test takes"):
        LabelledCounter("tallyd_test", "Test.", "method", "reason").add("x")


def test_hostile_label_values_stay_valid_text() -> None:
    counter = LabelledCounter("tallyd_test", "Test.", "reason")
    hostile = 'a"b\\c\nd} 1'
    counter.add(hostile)

    assert samples(exposed(registry_of([counter]))["tallyd_test"]) == {(hostile,): 1}


def test_other_daemons_make_their_own_set() -> None:
    pushes = MetricCounter("plane_pushes", "Pushes.")
    pushes.add()
    pushes.add(2)
    watchers = MetricReading("plane_watchers", "Watchers.", lambda: 4)
    revision = MetricReading("plane_revisions", "Revisions.", lambda: 9, "counter")

    families = exposed(registry_of([pushes, watchers, revision]))

    assert samples(families["plane_pushes"]) == {(): 3}
    assert samples(families["plane_watchers"]) == {(): 4}
    assert families["plane_revisions"].samples[0].name == "plane_revisions_total"
