"""(d): the engine alone, in a process of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.bench.figures import Section, pair_ratios, summary
from tests.bench.prefill import prefill
from tests.bench.servers import python, run_tool
from tests.bench.traffic import Traffic
from tests.bench.workbench import Workbench

_SECONDS_MAX: Final = 120.0


def measure_engine(bench: Workbench) -> dict[str, Section]:
    """Section `engine`: CPU time of a check with its commit, over that of the bare LMDB step."""
    bench.say("engine")
    copies = bench.new_folder("bare")
    traffic = Traffic(bench.sizes.companies)
    result = json.loads(_run(bench, [engine_store(bench)], [traffic], "--bare", str(copies)))
    [checks_us], bare_us = result["us_per_check"], result["bare_us"]
    ratios = pair_ratios(checks_us, bare_us)
    return {"engine": summary({"us_per_check": checks_us, "bare_us": bare_us, "ratio": ratios})}


def engine_store(bench: Workbench) -> Path:
    """A store with companies, and no usage yet."""
    store = bench.new_folder("engine")
    prefill(store, bench.catalog, bench.sizes.companies, Traffic(bench.sizes.companies))
    return store


def run_alone(
    bench: Workbench, stores: Sequence[Path], traffics: Sequence[Traffic]
) -> list[list[float]]:
    """CPU microseconds a check, for each store in each round; the stores take turns."""
    result: dict[str, list[list[float]]] = json.loads(_run(bench, stores, traffics))
    return result["us_per_check"]


def profile_alone(bench: Workbench, store: Path, traffic: Traffic) -> str:
    """Which functions of the engine take the time, as text."""
    return _run(bench, [store], [traffic], "--profile")


def _run(bench: Workbench, stores: Sequence[Path], traffics: Sequence[Traffic], *more: str) -> str:
    sizes = bench.sizes
    arguments = ["--companies", str(traffics[0].companies)]
    arguments += ["--checks", str(sizes.engine_checks), "--rounds", str(sizes.rounds)]
    for store, traffic in zip(stores, traffics, strict=True):
        arguments += ["--store", str(store), "--users", str(traffic.users)]
        arguments += ["--feature", traffic.feature]
    return run_tool(python("tests.bench.engine_alone", *arguments, *more), _SECONDS_MAX)
