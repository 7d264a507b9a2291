"""(c): checks that come a hundred at a time."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import partial
from typing import Final

from tests.bench.figures import Section, pair_ratios, summary
from tests.bench.load import EIGHT
from tests.bench.traffic import BATCH, ECHO, Traffic
from tests.bench.workbench import Workbench

_CHECKS: Final = 100


def measure_batches(bench: Workbench) -> dict[str, Section]:
    """Section `batch`: CPU time of a check in a batch, from eight connections, over an echo's."""
    traffic, sizes = Traffic(bench.sizes.companies), bench.sizes
    batches = partial(traffic.batches, size=_CHECKS)
    rounds: Mapping[str, list[float]] = defaultdict(list)
    with bench.echo() as echo, bench.standalone() as sidecar:
        for _ in bench.turns("batches"):
            load = bench.load(echo, ECHO, traffic.checks, EIGHT, sizes.lone_calls)
            rounds["echo_cpu_us_per_call"].append(load.cpu_us_per_call)
            load = bench.load(sidecar, BATCH, batches, EIGHT, sizes.batches)
            rounds["cpu_us_per_check"].append(load.cpu_us_per_call / _CHECKS)
            rounds["checks_per_s"].append(load.calls_per_s * _CHECKS)
    ratios = pair_ratios(rounds["cpu_us_per_check"], rounds["echo_cpu_us_per_call"])
    return {"batch": summary({"cpu_ratio": ratios, **rounds})}
