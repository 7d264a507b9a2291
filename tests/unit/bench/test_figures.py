"""How rounds become figures, and figures a table."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.bench.figures import (
    Section,
    nearest_rank,
    pair_differences,
    pair_ratios,
    summary,
    turn_order,
)
from tests.bench.machine import file_system_of
from tests.bench.report import Target, missed, table


@pytest.mark.parametrize(
    ("rounds", "median"),
    [([7.0], 7.0), ([1.0, 100.0, 3.0], 3.0), ([1.0, 2.0, 4.0, 100.0], 3.0), ([0.12345], 0.123)],
)
def test_summary_is_the_median(rounds: list[float], median: float) -> None:
    assert median == summary({"cpu_us": rounds})["cpu_us"]


def test_summary_keeps_the_rounds() -> None:
    assert {"a": 2.0, "b": 5.0, "rounds": {"a": [1.0, 3.0], "b": [5.0, 5.0]}} == summary(
        {"a": [1.0, 3.0], "b": [5.0, 5.0]}
    )


def test_ratio_is_taken_in_each_round() -> None:
    # The machine was half as fast in the second round: that hit both and does not show.
    assert [1.5, 1.5] == pair_ratios([15.0, 30.0], [10.0, 20.0])


def test_difference_is_taken_in_each_round() -> None:
    assert [5.0, 10.0] == pair_differences([15.0, 30.0], [10.0, 20.0])


@pytest.mark.parametrize(
    ("count", "percent", "expected"),
    [(1, 99, 1.0), (2, 50, 1.0), (3, 50, 2.0), (99, 99, 99.0), (100, 99, 99.0), (101, 99, 100.0)],
)
def test_percentile_is_that_of_the_nearest_rank(count: int, percent: int, expected: float) -> None:
    values = [float(value) for value in range(count, 0, -1)]
    assert expected == nearest_rank(values, percent)


def test_no_values_have_no_percentile() -> None:
    with pytest.raises(ValueError, match="no values"):
        nearest_rank([], 99)


def test_rounds_that_do_not_pair_up_are_refused() -> None:
    with pytest.raises(ValueError, match="longer"):
        pair_ratios([1.0], [1.0, 2.0])


def test_every_second_turn_is_reversed() -> None:
    assert ["ab", "ba", "ab"] == ["".join(turn_order("ab", turn)) for turn in range(3)]


@pytest.mark.parametrize(
    ("target", "value", "met"),
    [
        (Target(1.3), 1.3, True),
        (Target(1.3), 1.31, False),
        (Target(0.5, at_most=False), 0.5, True),
        (Target(0.5, at_most=False), 0.49, False),
    ],
)
def test_target_is_met_up_to_its_bound(target: Target, value: float, met: bool) -> None:
    assert met == target.met(value)


SECTIONS: dict[str, Section] = {
    "engine": summary(
        {"us_per_check": [8.0, 9.0, 10.0], "bare_us": [6.0, 6.0, 6.0], "ratio": [1.333, 1.5, 1.667]}
    ),
    "disk": summary({"calls_ratio": [0.5, 0.75, 0.6]}),
}


def test_table_shows_what_was_measured() -> None:
    assert [
        "figure                                   median  unit  lowest  highest  target  met",
        "-----------------------------------------------------------------------------------",
        "d  engine alone: CPU a check                9.0  us       8.0     10.0",
        "d  the bare LMDB step under it              6.0  us       6.0      6.0",
        "d  engine alone over that                  1.50  x       1.33     1.67  <= 1.3   NO",
        "g  disk over process: calls, 64 callers    0.60  x       0.50     0.75  >= 0.5  yes",
    ] == table(SECTIONS).splitlines()


def test_missed_targets_are_counted_and_met_ones_are_not() -> None:
    assert [("engine", "ratio")] == [(figure.section, figure.key) for figure in missed(SECTIONS)]


def test_file_system_is_that_of_the_nearest_mount() -> None:
    assert "proc" == file_system_of(Path("/proc/self"))
