"""(a) echo and (b) check, (c) batches, (g) durability: what calls cost, measured in pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Final, TypeAlias

from tests.bench.figures import Section, pair_differences, pair_ratios, summary, turn_order
from tests.bench.load import EIGHT, ONE, SIXTY_FOUR
from tests.bench.servers import Server
from tests.bench.traffic import BATCH, CHECK, ECHO, Rpc, Traffic
from tests.bench.workbench import Workbench

BATCH_CHECKS: Final = 100

_Growing: TypeAlias = Mapping[str, list[float]]


def measure_calls(bench: Workbench) -> dict[str, Section]:
    """Sections `echo` and `check`; the second is compared with the first, too."""
    rounds: dict[str, _Growing] = {"echo": defaultdict(list), "check": defaultdict(list)}
    with bench.echo() as echo, bench.standalone() as sidecar:
        sides = [("echo", echo, ECHO), ("check", sidecar, CHECK)]
        for turn in bench.turns("echo and check"):
            for name, server, rpc in turn_order(sides, turn):
                _measure_lone(bench, server, rpc, rounds[name])
            for name, server, rpc in turn_order(sides, turn):
                _measure_parallel(bench, server, rpc, rounds[name])
    echo_us, check_us = (rounds[name]["cpu_us_per_call"] for name in ("echo", "check"))
    more = {
        "cpu_ratio": pair_ratios(check_us, echo_us),
        "cpu_us_over_echo": pair_differences(check_us, echo_us),
    }
    return {"echo": summary(rounds["echo"]), "check": summary({**rounds["check"], **more})}


def measure_batches(bench: Workbench) -> dict[str, Section]:
    """Section `batch`: batches of 100 checks from eight connections."""
    rounds: _Growing = defaultdict(list)
    batches = partial(Traffic(bench.sizes.companies).batches, size=BATCH_CHECKS)
    with bench.standalone() as sidecar:
        for _ in bench.turns("batches"):
            load = bench.load(sidecar, BATCH, batches, EIGHT, bench.sizes.batches)
            rounds["cpu_us_per_check"].append(load.cpu_us_per_call / BATCH_CHECKS)
            rounds["checks_per_s"].append(load.calls_per_s * BATCH_CHECKS)
    return {"batch": summary(rounds)}


def measure_disk(bench: Workbench) -> dict[str, Section]:
    """Section `disk`: 64 callers, each answer on disk, beside answers that are not."""
    rounds: _Growing = defaultdict(list)
    checks = Traffic(bench.sizes.companies).checks
    with bench.standalone("disk") as disk, bench.standalone("process") as process:
        sides = [("calls_per_s", disk), ("process_calls_per_s", process)]
        for turn in bench.turns("disk and process"):
            for key, server in turn_order(sides, turn):
                load = bench.load(server, CHECK, checks, SIXTY_FOUR, bench.sizes.parallel_calls)
                rounds[key].append(load.calls_per_s)
    ratios = pair_ratios(rounds["calls_per_s"], rounds["process_calls_per_s"])
    return {"disk": summary({"calls_ratio": ratios, **rounds})}


def _measure_lone(bench: Workbench, server: Server, rpc: Rpc, rounds: _Growing) -> None:
    checks = Traffic(bench.sizes.companies).checks
    load = bench.load(server, rpc, checks, ONE, bench.sizes.lone_calls)
    rounds["p50_us"].append(load.p50_us)
    rounds["p99_us"].append(load.p99_us)


def _measure_parallel(bench: Workbench, server: Server, rpc: Rpc, rounds: _Growing) -> None:
    checks = Traffic(bench.sizes.companies).checks
    load = bench.load(server, rpc, checks, EIGHT, bench.sizes.parallel_calls)
    rounds["calls_per_s"].append(load.calls_per_s)
    rounds["cpu_us_per_call"].append(load.cpu_us_per_call)
    rounds["driver_cpu_us_per_call"].append(load.driver_cpu_us_per_call)
