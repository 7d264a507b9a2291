"""The engine alone: decisions with commit, in this process, without server or parsing.

`python -m tests.bench.engine_alone --store DIR ...` measures stores alternately and prints one JSON
object: `us_per_check`, for each store the CPU time of a check in each round, in microseconds; with
`--bare`, `bare_us` likewise, of the bare LMDB steps under such checks on the first store.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.engine.needs import Needs
from sidecar.rpc.deciding import Decided
from tests.bench.bare import bare_twin
from tests.bench.errors import BenchError
from tests.bench.figures import turn_order
from tests.bench.inside import Engine, open_engine, was_counted
from tests.bench.traffic import Traffic

_PROFILE_LINES = 25


def make_checks(traffic: Traffic, count: int) -> list[pb.CheckAndIncrementRequest]:
    """Checks with idempotency keys of their own."""
    return [pb.CheckAndIncrementRequest.FromString(body) for body in traffic.checks(count)]


def run(engine: Engine, checks: list[pb.CheckAndIncrementRequest]) -> float:
    """CPU microseconds a check. Raises BenchError where one was not counted."""
    # What the benchmark itself holds is no work for the collector, as it is none in a sidecar.
    gc.collect()
    gc.freeze()
    decide = engine.decide
    answers: list[Decided | Needs] = []
    start_ns = time.process_time_ns()
    for check in checks:
        answers.append(decide(check))  # noqa: PERF401  a comprehension is no server
    spent_ns = time.process_time_ns() - start_ns
    if not all(was_counted(answer) for answer in answers):
        raise BenchError("a check was not counted afresh")
    return spent_ns / len(checks) / 1000


def profile(engine: Engine, checks: list[pb.CheckAndIncrementRequest]) -> None:
    """Print which functions take the time."""
    profiler = cProfile.Profile()
    profiler.runcall(run, engine, checks)
    pstats.Stats(profiler, stream=sys.stdout).sort_stats("tottime").print_stats(_PROFILE_LINES)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="measure the engine alone")
    parser.add_argument("--store", type=Path, action="append", required=True, help="repeatable")
    parser.add_argument("--users", type=int, action="append", required=True, help="for each store")
    parser.add_argument("--feature", action="append", required=True, help="likewise; may be empty")
    parser.add_argument("--companies", type=int, required=True)
    parser.add_argument("--checks", type=int, required=True, help="checks a round")
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--bare", type=Path, help="an empty folder for copies of the first store")
    parser.add_argument("--profile", action="store_true", help="one round, under the profiler")
    return parser.parse_args()


def measure(arguments: argparse.Namespace, traffics: Sequence[Traffic]) -> dict[str, object]:
    """CPU microseconds a check in each round; what is measured takes turns."""
    runs: list[tuple[Traffic, Callable[[list[pb.CheckAndIncrementRequest]], float]]] = []
    with ExitStack() as stack:
        if arguments.bare:  # first, since it takes copies of a closed store
            twin = stack.enter_context(bare_twin(arguments.store[0], arguments.bare))
            runs.append((traffics[0], twin.run))
        for folder, traffic in zip(arguments.store, traffics, strict=True):
            engine = stack.enter_context(open_engine(folder))
            runs.append((traffic, partial(run, engine)))
        for traffic, run_checks in runs:
            run_checks(make_checks(traffic, arguments.checks))  # warm-up
        spent: list[list[float]] = [[] for _ in runs]
        for turn in range(arguments.rounds):
            for index in turn_order(range(len(runs)), turn):
                traffic, run_checks = runs[index]
                spent[index].append(run_checks(make_checks(traffic, arguments.checks)))
    bare_us = spent.pop(0) if arguments.bare else []
    return {"us_per_check": spent, "bare_us": bare_us}


def main() -> None:
    arguments = _arguments()
    traffics = [
        Traffic(arguments.companies, users, feature)
        for users, feature in zip(arguments.users, arguments.feature, strict=True)
    ]
    if not arguments.profile:
        print(json.dumps(measure(arguments, traffics)))
        return
    with open_engine(arguments.store[0]) as engine:
        run(engine, make_checks(traffics[0], arguments.checks))  # warm-up
        profile(engine, make_checks(traffics[0], arguments.checks))


if __name__ == "__main__":
    main()
