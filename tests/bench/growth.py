"""(e) growth and (f) footprint: what a store with a million counters costs.

Both start from stores that differ in nothing but the number of counters and of idempotency entries:
the same companies call, with the same few users or with a great many.
"""

from __future__ import annotations

import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.bench.engine import run_alone
from tests.bench.errors import BenchError
from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.load import EIGHT
from tests.bench.prefill import copy_store, prefill
from tests.bench.traffic import CHECK, Traffic
from tests.bench.workbench import Workbench

_KIB_IN_MIB: Final = 1024


class GrownStores:
    """Closed stores, made when first asked for; what is measured are copies of them."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench
        companies = bench.sizes.grown_companies
        self.small = Traffic(companies, bench.sizes.users_small)
        self.large = Traffic(companies, bench.sizes.users_large)
        self._made: dict[Traffic, Path] = {}

    @contextmanager
    def copy(self, traffic: Traffic) -> Iterator[Path]:
        """A store with past traffic, until the block ends."""
        made = self._made.get(traffic)
        if made is None:
            made = self._made[traffic] = self._make(traffic)
        folder = self._bench.new_folder("copy")
        copy_store(made, folder)
        yield folder
        shutil.rmtree(folder)

    def _make(self, traffic: Traffic) -> Path:
        bench = self._bench
        counters = traffic.companies * traffic.users
        bench.say(f"filling a store: {bench.sizes.snapshots:,} snapshots, {counters:,} counters")
        folder = bench.new_folder("grown")
        prefill(folder, bench.catalog, bench.sizes.snapshots, traffic)
        return folder


def measure_growth(bench: Workbench, stores: GrownStores) -> dict[str, Section]:
    """Section `growth`: CPU time of a check on the large store, over that on the small one."""
    small_us, large_us = _grown_calls(bench, stores)
    alone_small_us, alone_large_us = _grown_engine(bench, stores)
    rounds = {
        "ratio": pair_ratios(large_us, small_us),
        "small_cpu_us_per_call": small_us,
        "large_cpu_us_per_call": large_us,
        "engine_ratio": pair_ratios(alone_large_us, alone_small_us),
        "engine_small_us_per_check": alone_small_us,
        "engine_large_us_per_check": alone_large_us,
    }
    return {"growth": summary(rounds)}


def _grown_calls(bench: Workbench, stores: GrownStores) -> tuple[list[float], list[float]]:
    """Server CPU time of a call in each round: on the small store, on the large one."""
    spent_us: tuple[list[float], list[float]] = ([], [])
    calls = bench.sizes.parallel_calls
    with (
        stores.copy(stores.small) as small_store,
        stores.copy(stores.large) as large_store,
        bench.offline(small_store, stores.small) as small,
        bench.offline(large_store, stores.large) as large,
    ):
        sides = [(spent_us[0], small, stores.small), (spent_us[1], large, stores.large)]
        for turn in bench.turns("growth"):
            for spent, server, traffic in turn_order(sides, turn):
                load = bench.load(server, CHECK, traffic.checks, EIGHT, calls)
                spent.append(load.cpu_us_per_call)
    return spent_us


def _grown_engine(bench: Workbench, stores: GrownStores) -> list[list[float]]:
    """CPU time of a check in the engine alone, in each round, likewise."""
    bench.say("growth of the engine alone")
    with stores.copy(stores.small) as small, stores.copy(stores.large) as large:
        return run_alone(bench, [small, large], [stores.small, stores.large])


def measure_footprint(bench: Workbench, stores: GrownStores) -> dict[str, Section]:
    """Section `footprint`: time to start, and memory after calls of companies from all over."""
    rounds: dict[str, list[float]] = defaultdict(list)
    everyone = Traffic(bench.sizes.snapshots)
    with stores.copy(stores.large) as store:
        for start in range(1, bench.sizes.starts + 1):
            bench.say(f"footprint: start {start} of {bench.sizes.starts}")
            with bench.offline(store, everyone, all_ports=True) as server:
                rounds["ready_s"].append(server.ready_s)
                if start < bench.sizes.starts:
                    continue
                rounds["rss_anon_at_start_mib"].append(_resident_mib(server.pid, "RssAnon"))
                bench.load(server, CHECK, everyone.checks, EIGHT, bench.sizes.footprint_calls)
                rounds["rss_anon_mib"].append(_resident_mib(server.pid, "RssAnon"))
                rounds["rss_file_mib"].append(_resident_mib(server.pid, "RssFile"))
    return {"footprint": summary(rounds)}


def _resident_mib(pid: int, kind: str) -> float:
    """Resident memory of a live process: RssAnon is its own, RssFile pages of files."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(rf"^{kind}:\s+(\d+) kB$", status, re.MULTILINE)
    if found is None:
        raise BenchError(f"this system does not tell {kind} of a process")
    return int(found[1]) / _KIB_IN_MIB
