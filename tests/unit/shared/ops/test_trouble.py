"""Troubles and levels are told once when they begin and once when they end, each time."""

from __future__ import annotations

from pathlib import Path

from structlog.testing import capture_logs

from sidecar.shared.ops.health import Health
from sidecar.shared.ops.levels import Disk, Level, disk_of
from sidecar.shared.ops.trouble import Trouble


def _events(level: Level, *used: int) -> list[tuple[str, int]]:
    with capture_logs() as logs:
        for some in used:
            level.look(some, 1_000)
    return [(line["event"], line["percent"]) for line in logs]


def test_a_trouble_withholds_readiness_and_is_told_each_time_it_comes_and_goes() -> None:
    health = Health()
    health.start()
    trouble = Trouble("store", health)
    with capture_logs() as logs:
        for number in (1, 2):
            for _ in range(3):
                trouble.begin("STORE_FULL", "no room")
            assert (False, "the store is in trouble: no room") == health.readiness()
            assert (number, "STORE_FULL") == (trouble.times, trouble.reason)
            for _ in range(3):
                trouble.end()
            assert health.readiness().passed
    assert ["trouble.began", "trouble.over"] * 2 == [line["event"] for line in logs]


def test_a_trouble_that_becomes_another_one_is_the_same_trouble() -> None:
    health = Health()
    health.start()
    trouble = Trouble("store", health)
    with capture_logs() as logs:
        trouble.begin("STORE_FULL", "no room")
        trouble.begin("STORE_FAILED", "input/output error")
    assert 1 == len(logs)
    assert "the store is in trouble: input/output error" == health.readiness().reason


def test_a_level_is_told_when_it_is_passed_and_when_it_has_eased() -> None:
    assert [
        ("room.low", 70),
        ("room.low", 90),
        ("room.enough", 64),
        ("room.low", 99),
        ("room.enough", 0),
    ] == _events(Level("store"), 0, 699, 700, 720, 900, 950, 640, 600, 990, 0)


def test_what_flutters_around_a_level_is_told_once() -> None:
    assert [("room.low", 70)] == _events(Level("store"), *[700, 660, 700, 651] * 10)


def test_a_disk_that_cannot_be_looked_at_is_none(tmp_path: Path) -> None:
    assert Disk() == disk_of(str(tmp_path / "nowhere"))
    found = disk_of(str(tmp_path))
    assert 0 <= found.free_bytes <= found.size_bytes
    assert [] == _events(Level("disk"), 0)
