"""The whole benchmark in its smallest form: that it runs, reports and cleans up; no timing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bench.building import LeftOut, build_go_echo
from tests.bench.errors import BenchError
from tests.bench.load import EIGHT, ONE, UNIX, Callers, Route
from tests.bench.report import FIGURES
from tests.bench.servers import ROOT
from tests.bench.sizes import QUICK
from tests.bench.traffic import CHECK, ECHO, Rpc, Traffic
from tests.bench.workbench import Workbench, workbench
from tests.support.bounds import RUN_SECONDS_MAX

MARK = "BENCH_TEST"
CHANGES = ("plan", "replaced", "company")
OF_CALLS = {"p50_us", "p99_us", "calls_per_s", "cpu_us_per_call"}
RATIOS = {"cpu_ratio", "p50_ratio", "calls_ratio"}
KINDS = [
    route + callers
    for route in ("", "_deadline", "_tcp", "_tcp_deadline")
    for callers in ("_1x1", "", "_8x8")
]
KEYS = {
    **{f"echo{kind}": OF_CALLS for kind in KINDS},
    **{f"check{kind}": OF_CALLS | RATIOS for kind in KINDS},
    "batch": {"cpu_us_per_check", "cpu_ratio"},
    "engine": {"us_per_check", "bare_us", "ratio"},
    "growth": {"ratio"},
    "footprint": {"rss_anon_mib", "ready_s"},
    "disk": {"calls_ratio"},
    "limits": {"ratio", "engine_ratio", "rate_ratio", "rate_engine_ratio"},
    "leases": {"ratio", "engine_ratio"},
    "credits": {"ratio", "engine_ratio", "no_limit_ratio", "no_limit_engine_ratio"},
    "seats": {"ratio", "lone_ratio"},
    "first_calls": {"calls_ratio", "counters_per_message", "plane_calls_ratio"},
    "change": {"told_p99_ms"}
    | {f"{kind}_bytes" for kind in CHANGES}
    | {
        f"{kind}_{sidecar}_p{percent}_ms"
        for kind in CHANGES
        for sidecar in ("all", "on_demand")
        for percent in (50, 99)
    },
}


def command(scratch: Path, *options: str) -> list[str]:
    output = scratch.parent / "bench.json"
    where = ["--scratch", str(scratch), "--output", str(output)]
    return [sys.executable, "-m", "tests.bench", "--quick", *where, *options]


@pytest.fixture
def environment() -> dict[str, str]:
    """An environment that marks processes of one test; theirs have it, too."""
    return {**os.environ, MARK: uuid.uuid4().hex}


def processes_of(environment: dict[str, str]) -> int:
    """How many processes run in an environment."""
    mark = f"{MARK}={environment[MARK]}".encode()
    count = 0
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has ended
            count += mark in (process / "environ").read_bytes().split(b"\0")
    return count


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_every_figure_is_measured(tmp_path: Path, environment: dict[str, str]) -> None:
    scratch = tmp_path / "scratch"
    done = subprocess.run(
        command(scratch),
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    wanted = dict(KEYS)
    if "go_echo" not in result["left_out"]:
        wanted |= {f"go_echo{kind}": OF_CALLS | RATIOS for kind in KINDS}
        to_go = {f"go_{ratio}" for ratio in RATIOS}
        wanted |= {f"check{kind}": KEYS[f"check{kind}"] | to_go for kind in KINDS}
    if "check_grpcio" not in result["left_out"]:
        wanted |= {f"check_grpcio{who}": OF_CALLS | RATIOS for who in ("_1x1", "", "_8x8")}
    for section, keys in wanted.items():
        figures = {key: result[section].get(key) for key in keys}
        assert all(isinstance(value, float) and value > 0 for value in figures.values()), figures
    assert [] == [figure.label for figure in FIGURES if figure.label not in done.stdout]
    assert all(
        f"Left out: {name}: {why}" in done.stdout for name, why in result["left_out"].items()
    )
    assert [] == list(scratch.iterdir())
    assert 0 == processes_of(environment)


def test_section_asked_for_is_measured_alone(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path / "scratch", "--only", "engine"),
        cwd=ROOT,
        capture_output=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )
    assert 0 == done.returncode, done.stderr
    result = json.loads((tmp_path / "bench.json").read_text())
    assert {"engine", "machine", "quick", "left_out"} == set(result)


def test_unknown_section_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        command(tmp_path, "--only", "coffee"), cwd=ROOT, capture_output=True, check=False
    )
    assert 2 == done.returncode
    assert b"no section coffee" in done.stderr


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Workbench]:
    with workbench(tmp_path, QUICK, quiet=True) as bench:
        yield bench
    assert [] == list(tmp_path.iterdir())


def test_calls_that_fail_end_the_benchmark(bench: Workbench) -> None:
    with bench.echo() as echo, pytest.raises(BenchError, match="grpc-status 12"):
        bench.load(echo, CHECK, Traffic(1).checks, ONE, 20)


def test_wrong_answers_end_the_benchmark(bench: Workbench) -> None:
    def refuse(request: bytes, response: bytes) -> None:
        raise BenchError(f"{len(request)} bytes were answered wrong")

    with bench.echo() as echo, pytest.raises(BenchError, match="answered wrong"):
        bench.load(echo, Rpc(ECHO.path, refuse), Traffic(1).checks, ONE, 20)


def test_server_that_does_not_start_ends_the_benchmark(bench: Workbench) -> None:
    bench.catalog.write_text("plans: 7")
    with pytest.raises(BenchError, match="did not start"), bench.standalone():
        pass


@pytest.mark.timeout(300)  # what it is built of may have to be compiled first
@pytest.mark.parametrize("callers", [ONE, EIGHT])
def test_go_echo_answers_on_every_route(bench: Workbench, callers: Callers) -> None:
    try:
        server = bench.go_echo()
    except LeftOut as reason:
        pytest.skip(str(reason))
    with server as go_echo:
        for route in (UNIX, Route(deadline=True), Route(tcp=True)):
            load = bench.load(go_echo, ECHO, Traffic(1).checks, callers, 20, route)
            assert load.calls_per_s > 0


def test_go_echo_is_left_out_where_go_is_absent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LeftOut, match="go is not on the PATH"):
        build_go_echo(tmp_path)


def test_go_echo_that_does_not_build_is_left_out_with_what_go_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go = tmp_path / "go"
    go.write_text("#!/bin/sh\necho no such module >&2; exit 1\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LeftOut, match="go build -C failed: no such module"):
        build_go_echo(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_interrupted_benchmark_stops_everything(
    tmp_path: Path, environment: dict[str, str], number: signal.Signals
) -> None:
    scratch = tmp_path / "scratch"
    with subprocess.Popen(
        command(scratch, "--only", "batch"),
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as bench:
        assert bench.stderr is not None
        assert "batches: round 1 of 2\n" == bench.stderr.readline()
        assert 3 <= processes_of(environment)  # its own, and two servers
        bench.send_signal(number)
        assert "bench: interrupted" == bench.stderr.read().splitlines()[-1]
        assert 130 == bench.wait(RUN_SECONDS_MAX)
    assert [] == list(scratch.iterdir())
    assert 0 == processes_of(environment)
