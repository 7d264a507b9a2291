"""(g): answers that are on the disk before they are given."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from tests.bench.figures import Section, pair_ratios, summary, turn_order
from tests.bench.load import SIXTY_FOUR
from tests.bench.traffic import CHECK, Traffic
from tests.bench.workbench import Workbench


def measure_disk(bench: Workbench) -> dict[str, Section]:
    """Section `disk`: 64 callers, each answer on disk, beside answers that are not."""
    rounds: Mapping[str, list[float]] = defaultdict(list)
    checks = Traffic(bench.sizes.companies).checks
    with bench.standalone("disk") as disk, bench.standalone("process") as process:
        sides = [("calls_per_s", disk), ("process_calls_per_s", process)]
        for turn in bench.turns("disk and process"):
            for key, server in turn_order(sides, turn):
                load = bench.load(server, CHECK, checks, SIXTY_FOUR, bench.sizes.parallel_calls)
                rounds[key].append(load.calls_per_s)
    ratios = pair_ratios(rounds["calls_per_s"], rounds["process_calls_per_s"])
    return {"disk": summary({"calls_ratio": ratios, **rounds})}
