"""Where the CPU time goes, for a figure that falls short: of (d) by function, of (b) by thread too.

The profiler makes every Python call dearer, so its table shows shares, not costs; the costs are
those of the run without it.
"""

from __future__ import annotations

import io
import os
import pstats
from collections import Counter
from pathlib import Path
from typing import Final

from tests.bench.engine import engine_store, profile_alone, run_alone
from tests.bench.load import EIGHT
from tests.bench.servers import Server
from tests.bench.traffic import CHECK, ECHO, Rpc, Traffic
from tests.bench.workbench import Workbench

_LINES: Final = 30


def show(bench: Workbench) -> None:
    """Print the profiles."""
    traffic = Traffic(bench.sizes.companies)
    store = engine_store(bench)
    [costs] = run_alone(bench, [store], [traffic])
    print(f"(d) engine alone: {min(costs):.1f} to {max(costs):.1f} us of CPU a check\n")
    print(profile_alone(bench, store, traffic))
    with bench.echo() as echo, bench.standalone() as sidecar:
        for _ in bench.turns("costs by thread"):
            print(_costs(bench, "(a) echo", echo, ECHO))
            print(_costs(bench, "(b) check", sidecar, CHECK))
    print()
    print(_functions(bench))


def _costs(bench: Workbench, name: str, server: Server, rpc: Rpc) -> str:
    """CPU time of a call: all, in the kernel, and by thread."""
    traffic, calls = Traffic(bench.sizes.companies), bench.sizes.parallel_calls
    kernel_before, threads_before = _kernel_us(server.pid), _threads_us(server.pid)
    load = bench.load(server, rpc, traffic.checks, EIGHT, calls)
    all_calls = calls + calls // 10  # these readings include the warm-up
    kernel_us = (_kernel_us(server.pid) - kernel_before) / all_calls
    threads = _threads_us(server.pid) - threads_before
    shares = ", ".join(
        f"{thread} {spent_us / all_calls:.1f}" for thread, spent_us in threads.most_common(4)
    )
    total = f"{load.cpu_us_per_call:.1f} us of CPU a call, {kernel_us:.0f} of them in the kernel"
    return f"{name}: {total}; by thread: {shares}"


def _functions(bench: Workbench) -> str:
    """The functions of the sidecar's main thread under load, by their own time."""
    output = bench.new_folder("profile") / "sidecar"
    calls, under = bench.sizes.parallel_calls, ("cProfile", "-o", str(output), "-m")
    with bench.standalone(under=under) as sidecar:
        bench.say("functions of the server")
        bench.load(sidecar, CHECK, Traffic(bench.sizes.companies).checks, EIGHT, calls)
    text = io.StringIO()
    statistics = pstats.Stats(str(output), stream=text).strip_dirs().sort_stats("tottime")
    statistics.print_stats(_LINES)
    return f"(b) under the profiler, starting up included\n{text.getvalue()}"


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
