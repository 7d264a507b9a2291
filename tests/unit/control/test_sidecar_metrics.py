"""What the plane's metrics say of sidecars: who is shown, for how long, and how many at most."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry

from sidecar.control.sidecar_metrics import (
    SIDECARS_KNOWN_MAX,
    SIDECARS_SHOWN_MAX,
    SILENT_US,
    HeardSidecars,
)
from sidecar.domain.time.units import SECOND_US
from sidecar.shared.ops.instruments import registry_of
from tests.support.build import NOW_US


class Plane:
    """Sidecars as heard at times that the test sets, and what is exposed of them."""

    def __init__(self) -> None:
        self.now_us = NOW_US
        self.heard = HeardSidecars(lambda: self.now_us)
        self.registry: CollectorRegistry = registry_of(self.heard.instruments())

    def value(self, name: str, incarnation: str, node: str = "n") -> float | None:
        labels = {"incarnation": incarnation, "node": node}
        return self.registry.get_sample_value(f"tallyd_sidecar_{name}", labels)

    def count(self, name: str = "") -> float | None:
        return self.registry.get_sample_value(f"tallyd_sidecars{name}")

    def shown(self) -> list[str]:
        return [sidecar.incarnation for sidecar in self.heard.shown()]


@pytest.fixture
def plane() -> Plane:
    return Plane()


def test_a_sidecar_is_told_with_node_version_records_and_times(plane: Plane) -> None:
    plane.heard.greeted("a", "n", "1.2", knows_leases=True)
    assert plane.value("last_push_timestamp_seconds", "a") is None
    plane.now_us += 5 * SECOND_US
    plane.heard.pushed("a", 3, plane.now_us - 2 * SECOND_US)
    plane.now_us += SECOND_US
    plane.heard.heard("a")
    info = {"incarnation": "a", "node": "n", "version": "1.2"}
    assert 1 == plane.registry.get_sample_value("tallyd_sidecar_info", info)
    assert 3 == plane.value("records_total", "a")
    assert 2 == plane.value("push_lag_seconds", "a")
    now_s = plane.now_us / SECOND_US
    assert now_s - 1 == plane.value("last_push_timestamp_seconds", "a")
    assert now_s == plane.value("last_heard_timestamp_seconds", "a")


def test_a_push_without_new_records_leaves_the_lag_as_it_was(plane: Plane) -> None:
    plane.heard.greeted("a", "n", "1", knows_leases=True)
    plane.heard.pushed("a", 1, plane.now_us - SECOND_US)
    plane.heard.pushed("a", 0, None)
    assert 1 == plane.value("push_lag_seconds", "a")
    assert 1 == plane.value("records_total", "a")


def test_a_record_of_the_future_is_no_lag(plane: Plane) -> None:
    plane.heard.greeted("a", "n", "1", knows_leases=True)
    plane.heard.pushed("a", 1, plane.now_us + SECOND_US)
    assert 0 == plane.value("push_lag_seconds", "a")


def test_while_it_watches_it_is_heard(plane: Plane) -> None:
    plane.heard.greeted("a", "n", "1", knows_leases=True)
    with plane.heard.watching("a"):
        plane.now_us += 2 * SILENT_US
        assert 1 == plane.value("watches", "a")
        assert plane.now_us / SECOND_US == plane.value("last_heard_timestamp_seconds", "a")
    ended_us = plane.now_us
    plane.now_us += SECOND_US
    assert 0 == plane.value("watches", "a")
    assert ended_us / SECOND_US == plane.value("last_heard_timestamp_seconds", "a")


def test_one_that_is_silent_is_not_shown_and_comes_back_with_its_count(plane: Plane) -> None:
    plane.heard.greeted("a", "n", "1", knows_leases=True)
    plane.heard.pushed("a", 7, None)
    plane.now_us += SILENT_US
    assert [] == plane.shown()
    assert 0 == plane.count()
    plane.heard.heard("a")
    assert 7 == plane.value("records_total", "a")


def test_those_past_the_bound_are_a_number_and_push_nobody_out(plane: Plane) -> None:
    names = [f"s{at}" for at in range(SIDECARS_SHOWN_MAX + 3)]
    for name in [*names, *reversed(names)]:
        plane.heard.greeted(name, "n", "1", knows_leases=True)
    assert names[:SIDECARS_SHOWN_MAX] == plane.shown()
    assert SIDECARS_SHOWN_MAX + 3 == plane.count()
    assert 3 == plane.count("_not_shown")


def test_of_too_many_the_one_that_is_silent_longest_is_forgotten(plane: Plane) -> None:
    plane.heard.greeted("watches", "n", "1", knows_leases=True)
    with plane.heard.watching("watches"):
        for at in range(SIDECARS_KNOWN_MAX + 10):
            plane.now_us += 1
            plane.heard.greeted(f"s{at}", "n", "1", knows_leases=True)
        assert SIDECARS_KNOWN_MAX == plane.count()
        assert "watches" == plane.shown()[0]
        assert "s11" == plane.shown()[1]


def test_those_of_before_are_known_by_what_they_ask_while_they_are_there(plane: Plane) -> None:
    for name, reads_changes in (("old", False), ("new", True), ("updated", False)):
        plane.heard.greeted(name, f"node of {name}", "1", knows_leases=True)
        plane.heard.asked(name, reads_changes=reads_changes, knows_kinds=reads_changes)
    plane.heard.greeted("silent", "node of silent", "1", knows_leases=True)
    plane.heard.asked("updated", reads_changes=True, knows_kinds=False)
    assert ["node of old"] == plane.heard.earlier().read_less
    assert ["node of old", "node of updated"] == plane.heard.earlier().know_no_kinds
    plane.now_us += SILENT_US
    assert [] == plane.heard.earlier().read_less == plane.heard.earlier().know_no_kinds


def test_those_that_know_no_leases_are_known_by_their_greeting_while_they_are_there(
    plane: Plane,
) -> None:
    plane.heard.heard("has not said")
    for name, knows in (("old", False), ("new", True), ("updated", False)):
        plane.heard.greeted(name, f"node of {name}", "1", knows_leases=knows)
    plane.heard.greeted("updated", "node of updated", "2", knows_leases=True)
    assert ["node of old"] == plane.heard.earlier().know_no_leases
    plane.now_us += SILENT_US
    assert [] == plane.heard.earlier().know_no_leases
