"""Where the CPU time goes, for a figure that falls short: of (d) by function, of (b) by thread too.

The profiler makes every Python call dearer, so its table shows shares, not costs; the costs are
those of the run without it. How often functions are called it counts exactly, and so the walk of a
check is told from its counts.
"""

from __future__ import annotations

import io
import os
import pstats
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.bench import walk
from tests.bench.engine import engine_store, profile_alone, run_alone
from tests.bench.errors import BenchError
from tests.bench.load import EIGHT, ONE, Callers
from tests.bench.servers import Server
from tests.bench.traffic import CHECK, ECHO, Rpc, Traffic
from tests.bench.workbench import Transport, Workbench

_LINES: Final = 30
_SWITCH_SECONDS_MAX: Final = 60.0
_POLL_SECONDS: Final = 0.002


def show(bench: Workbench) -> None:
    """Print the profiles."""
    traffic = Traffic(bench.sizes.companies)
    store = engine_store(bench)
    [costs] = run_alone(bench, [store], [traffic])
    print(f"(d) engine alone: {min(costs):.1f} to {max(costs):.1f} us of CPU a check\n")
    print(profile_alone(bench, store, traffic))
    transports: tuple[Transport | None, ...] = (None,)
    if bench.has_transports:
        transports = ("native", "grpcio")
    for transport in transports:
        name = f"(b) check, {transport or 'the one transport'}"
        with bench.echo() as echo, bench.standalone(transport=transport) as sidecar:
            for _ in bench.turns("costs by thread"):
                print(_costs(bench, "(a) echo", echo, ECHO))
                print(_costs(bench, name, sidecar, CHECK))
        bench.say("functions of the server")
        profile = profiled(bench, transport, EIGHT, bench.sizes.parallel_calls)
        print(f"\n{name}, under the profiler\n{_functions(profile)}")
        profile = profiled(bench, transport, ONE, bench.sizes.lone_calls)
        stops = walk.stops(profile, with_warmup(bench.sizes.lone_calls))
        print(f"{name}: {walk.told(stops)}\n")


def _costs(bench: Workbench, name: str, server: Server, rpc: Rpc) -> str:
    """CPU time of a call: all, in the kernel, and by thread."""
    traffic, calls = Traffic(bench.sizes.companies), bench.sizes.parallel_calls
    kernel_before, threads_before = _kernel_us(server.pid), _threads_us(server.pid)
    load = bench.load(server, rpc, traffic.checks, EIGHT, calls)
    all_calls = with_warmup(calls)  # these readings include it
    kernel_us = (_kernel_us(server.pid) - kernel_before) / all_calls
    threads = _threads_us(server.pid) - threads_before
    shares = ", ".join(
        f"{thread} {spent_us / all_calls:.1f}" for thread, spent_us in threads.most_common(4)
    )
    total = f"{load.cpu_us_per_call:.1f} us of CPU a call, {kernel_us:.0f} of them in the kernel"
    return f"{name}: {total}; by thread: {shares}"


def with_warmup(calls: int) -> int:
    """How many calls a load of so many makes."""
    return calls + calls // 10


def profiled(bench: Workbench, transport: Transport | None, callers: Callers, calls: int) -> Path:
    """The profile of a sidecar's main thread under load, once every company has called."""
    output = bench.new_folder("profile") / "sidecar"
    under = ("tests.bench.profiled", str(output))
    checks = Traffic(bench.sizes.companies).checks
    with bench.standalone(transport=transport, under=under) as sidecar:
        bench.load(sidecar, CHECK, checks, callers, 10 * bench.sizes.companies)
        os.kill(sidecar.pid, signal.SIGUSR1)
        _await(output.exists)
        bench.load(sidecar, CHECK, checks, callers, calls)
        os.kill(sidecar.pid, signal.SIGUSR1)
        _await(lambda: output.stat().st_size > 0)
    return output


def _await(condition: Callable[[], bool]) -> None:
    deadline_s = time.monotonic() + _SWITCH_SECONDS_MAX
    while not condition():
        if time.monotonic() > deadline_s:
            raise BenchError("the profiler does not switch")
        time.sleep(_POLL_SECONDS)


def _functions(profile: Path) -> str:
    """The functions that took the most time by themselves."""
    text = io.StringIO()
    pstats.Stats(str(profile), stream=text).strip_dirs().sort_stats("tottime").print_stats(_LINES)
    return text.getvalue()


def _kernel_us(pid: int) -> float:
    """CPU time of a process in the kernel; counted in ticks of 10 ms or so."""
    after_name = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return int(after_name[12]) * 1_000_000 / os.sysconf("SC_CLK_TCK")


def _threads_us(pid: int) -> Counter[str]:
    """CPU time of a process's threads by name."""
    spent: Counter[str] = Counter()
    for task in Path(f"/proc/{pid}/task").iterdir():
        name = (task / "comm").read_text(encoding="utf-8").strip()
        spent[name] += int((task / "schedstat").read_text(encoding="ascii").split()[0]) // 1000
    return spent
