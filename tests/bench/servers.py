"""Processes of the benchmark: servers, stopped whatever happens, and tools that run to an end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import processors
from tests.bench.errors import BenchError
from tests.bench.h2driver import run_load
from tests.bench.load_result import LoadError
from tests.bench.traffic import Rpc

ROOT: Final = Path(__file__).parents[2]
_START_SECONDS_MAX: Final = 60.0
_STOP_SECONDS_MAX: Final = 15.0
_POLL_SECONDS: Final = 0.002
_LOG_LINES_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    `target`: where it answered first. `tcp_target`: where it listens on TCP, "ADDRESS:PORT"; empty
    if it does not. `ready_s`: from just before its process was made to its first answer.
    """

    target: str
    pid: int
    ready_s: float
    tcp_target: str = ""


def python(*module: str) -> list[str]:
    """The command that runs a module of this tree; behind its name come its arguments."""
    return [sys.executable, "-m", *module]


def _environment() -> dict[str, str]:
    """This environment without settings of tallyd: the benchmark decides them all.

    Nor with Python's: a start is that of an installed program, which is compiled.
    """
    ours = ("TALLYD_", "PYTHONDONTWRITEBYTECODE", "PYTHONOPTIMIZE", "PYTHONDEVMODE")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def run_tool(
    command: Sequence[str], seconds_max: float, on: frozenset[int] = processors.OURS
) -> str:
    """What a command prints, that runs on some processors.

    Raises BenchError if it fails, or takes longer.
    """
    name = " ".join((Path(command[0]).name, *command[1:3]))
    try:
        with processors.inherited(on):
            done = subprocess.run(
                command,
                cwd=ROOT,
                env=_environment(),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=seconds_max,
                start_new_session=True,
                check=False,
            )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{name} is not done after {seconds_max:.0f} s") from error
    if done.returncode:
        raise BenchError(f"{name} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


@contextmanager
def started(
    command: Sequence[str],
    target: str,
    rpc: Rpc,
    request: bytes,
    log: Path,
    *,
    tcp: bool = False,
    on: frozenset[int] = processors.SERVERS,
) -> Iterator[Server]:
    """Run a server while the block lasts; the block begins once `request` was answered well.

    `target`: where it will listen, "unix:PATH"; empty for one that listens on TCP alone, whose
    address is found in its log, as with `tcp` it is beside `target`. `on`: its processors.

    Raises BenchError if it does not start, or ends before it was told to.
    """
    with log.open("wb") as output, processors.inherited(on):
        began_s = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C reaches the benchmark, which stops it in order
        )
    try:
        target = target or _logged_address(process, log)
        _await_answer(process, target, rpc, request, log)
        ready_s = time.perf_counter() - began_s
        tcp_target = _logged_address(process, log) if tcp else ""
        yield Server(target, process.pid, ready_s, tcp_target)
        if process.poll() is not None:
            raise BenchError(f"a server ended by itself: {_last_lines(log)}")
    finally:
        _stop(process)


def _logged_address(process: subprocess.Popen[bytes], log: Path) -> str:
    """Where a server listens on TCP, by a JSON line in its log: "ADDRESS:PORT"."""
    deadline_s = time.monotonic() + _START_SECONDS_MAX
    while time.monotonic() < deadline_s:
        for line in log.read_text(errors="replace").splitlines(keepends=True):
            if address := _address_in(line):
                return address
        if process.poll() is not None:
            raise BenchError(f"a server did not start: {_last_lines(log)}")
        time.sleep(_POLL_SECONDS)
    raise BenchError(f"a server does not say where it listens: {_last_lines(log)}")


def _address_in(line: str) -> str:
    """The address in a line of a log; empty where there is none, or the line is not done yet."""
    if not (line.startswith("{") and line.endswith("}\n")):
        return ""
    event = json.loads(line)
    if port := event.get("port"):  # of a sidecar or an echo server
        return f"127.0.0.1:{port}"
    return str(event.get("grpc", ""))  # of a control plane


def _await_answer(
    process: subprocess.Popen[bytes], target: str, rpc: Rpc, request: bytes, log: Path
) -> None:
    deadline_s = time.monotonic() + _START_SECONDS_MAX
    problem = "it does not listen"
    while time.monotonic() < deadline_s:
        if process.poll() is not None:
            raise BenchError(f"a server did not start: {_last_lines(log)}")
        try:
            result = run_load(
                target, rpc.path, [request], connections=1, in_flight=1, calls=1, warmup=0,
                seconds_max=1,
            )  # fmt: skip
        except LoadError as error:
            problem = str(error)
        else:
            if not result.errors:
                rpc.verify(request, result.samples[0].response)
                return
            problem = ", ".join(result.failures)
        time.sleep(_POLL_SECONDS)
    raise BenchError(f"a server is not ready after {_START_SECONDS_MAX:.0f} s: {problem}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _last_lines(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()
    return "\n".join(lines[-_LOG_LINES_SHOWN:]) or "it said nothing"
