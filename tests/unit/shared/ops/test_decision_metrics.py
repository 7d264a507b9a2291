"""Decisions by feature, result and reason: what becomes a label, and what does not."""

from __future__ import annotations

import pytest

from sidecar.shared.ops.decision_metrics import (
    ALLOWED,
    DENIED,
    FEATURES_MAX,
    REPLAYED,
    DecisionMetrics,
)

REASONS = ("UNSPECIFIED", "ALLOWED", "LIMIT_EXCEEDED", "UNKNOWN_FEATURE")
CATALOG = {"calls", "tokens"}

Labels = tuple[str, str, str]


def metrics(features: set[str] = CATALOG) -> DecisionMetrics:
    return DecisionMetrics(REASONS, features.__contains__)


def counted(decisions: DecisionMetrics) -> dict[Labels, float]:
    """By feature, result and reason."""
    return {
        (labels["feature"], labels["result"], labels["reason"]): sample.value
        for sample in decisions.read().samples
        for labels in [sample.labels]
    }


def test_decisions_are_counted_by_feature_result_and_reason() -> None:
    decisions = metrics()
    decisions.observe("calls", ALLOWED, 1, 80)
    decisions.observe_counted("calls", 80_000)
    decisions.observe("calls", DENIED, 2, 80)
    decisions.observe("tokens", DENIED, 2, 80)
    decisions.observe("tokens", REPLAYED, 1, 80)
    assert {
        ("calls", "allowed", "ALLOWED"): 2,
        ("calls", "denied", "LIMIT_EXCEEDED"): 1,
        ("tokens", "denied", "LIMIT_EXCEEDED"): 1,
        ("tokens", "replayed", "ALLOWED"): 1,
    } == counted(decisions)
    assert 5 == sum(decisions.durations.counts)
    assert 400 == decisions.durations.sum_us


@pytest.mark.parametrize("name", ["", "nothing", 'a"b\\c\nd} 1', "x" * 10_000])
def test_a_name_that_is_no_feature_is_no_label(name: str) -> None:
    decisions = metrics()
    for at in range(1_000):
        decisions.observe(f"{name}{at}", DENIED, 3, 80)
    assert {("other", "denied", "UNKNOWN_FEATURE"): 1_000} == counted(decisions)


def test_features_past_the_bound_are_counted_together() -> None:
    features = {f"f{at}" for at in range(FEATURES_MAX + 5)}
    decisions = metrics(features)
    for name in sorted(features):
        decisions.observe_counted(name, 80_000)
        decisions.observe(name, DENIED, 2, 80)
    found = counted(decisions)
    assert 2 * (FEATURES_MAX + 1) == len(found)
    assert 5 == found["other", "allowed", "ALLOWED"]
    assert 5 == found["other", "denied", "LIMIT_EXCEEDED"]


def test_a_feature_that_is_called_other_is_counted_with_the_others_and_no_label_comes_twice() -> (
    None
):
    decisions = metrics({"other"})
    decisions.observe_counted("other", 80_000)
    decisions.observe_counted("unknown", 80_000)
    assert 1 == len(decisions.read().samples)
    assert {("other", "allowed", "ALLOWED"): 2} == counted(decisions)


def test_counts_of_a_feature_that_left_the_catalog_stay() -> None:
    features = {"calls"}
    decisions = metrics(features)
    decisions.observe_counted("calls", 80_000)
    features.clear()
    decisions.observe("calls", DENIED, 3, 80)
    assert {
        ("calls", "allowed", "ALLOWED"): 1,
        ("calls", "denied", "UNKNOWN_FEATURE"): 1,
    } == counted(decisions)


@pytest.mark.parametrize(("result", "reason"), [(3, 1), (0, 99)])
def test_what_has_no_name_is_a_programming_error(result: int, reason: int) -> None:
    with pytest.raises(IndexError):
        metrics().observe("calls", result, reason, 80)
