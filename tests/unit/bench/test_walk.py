"""The walk of a check: what is counted, and how it is told."""

from __future__ import annotations

import cProfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.load import ONE
from tests.bench.profiles import profiled, with_warmup
from tests.bench.sizes import QUICK
from tests.bench.walk import Stop, stops, told
from tests.bench.workbench import Workbench, workbench

CALLS = 20


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path, QUICK, quiet=True) as bench:
        yield bench


def test_profile_has_the_checks_and_neither_start_nor_stop(bench: Workbench) -> None:
    profile = profiled(bench, None, ONE, CALLS)
    ours = [stop for stop in stops(profile, with_warmup(CALLS)) if stop.file]
    assert 1.0 in [stop.frames for stop in ours]
    assert [] == [stop for stop in ours if stop.function in ("<module>", "serve", "close")]


def test_background_work_is_no_stop_however_often_it_is_done(tmp_path: Path) -> None:
    def leaf() -> None:
        pass

    def check() -> None:
        leaf()
        leaf()

    def tally() -> None:
        leaf()

    def background() -> None:
        for _ in range(CALLS):
            tally()

    profiler = cProfile.Profile()
    for _ in range(CALLS):
        profiler.runcall(check)
    profiler.runcall(background)
    profiler.dump_stats(tmp_path / "profile")
    found = {stop.function: stop.frames for stop in stops(tmp_path / "profile", CALLS)}
    assert {"check": 1.0, "leaf": 2.0} == found


def test_walk_is_told_file_by_file_from_the_outside_in() -> None:
    assert [
        "6 Python frames a check, in 3 files of 2 rooms; 2 more in libraries",
        "  rpc/server.py: serve, answer",
        "  domain/decide.py: decide, least x2",
        "  wire.py: varint",
        "  libraries: wait x2",
    ] == told(
        [
            Stop("domain/decide.py", "least", 2.0, 0.1),
            Stop("rpc/server.py", "serve", 1.0, 0.9),
            Stop("", "wait", 2.0, 0.95),
            Stop("wire.py", "varint", 1.0, 0.05),
            Stop("domain/decide.py", "decide", 1.0, 0.3),
            Stop("rpc/server.py", "answer", 1.0, 0.2),
        ]
    ).splitlines()
