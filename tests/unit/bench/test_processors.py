"""Where servers and driver run."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.bench.processors import inherited, split

SAY = "import os; print(sorted(os.sched_getaffinity(0)))"


@pytest.mark.parametrize(
    ("processors", "servers", "driver"),
    [([3], [3], [3]), ([1, 0], [0], [1]), ([7, 0, 5, 2], [0, 2, 5], [7])],
)
def test_driver_has_the_last_processor(
    processors: list[int], servers: list[int], driver: list[int]
) -> None:
    assert (frozenset(servers), frozenset(driver)) == split(processors)


def test_process_runs_where_it_was_started_to_and_its_starter_goes_on_as_before() -> None:
    before = os.sched_getaffinity(0)
    one = frozenset([max(before)])
    with inherited(one):
        said = subprocess.run([sys.executable, "-c", SAY], capture_output=True, check=True)
    assert f"{sorted(one)}\n" == said.stdout.decode()
    assert before == os.sched_getaffinity(0)
