"""The engine alone: decisions with commit, in this process, without server or parsing.

`python -m tests.bench.engine_alone --store DIR ...` measures stores alternately and prints one JSON
object: `us_per_check`, for each store the CPU time of a check in each round, in microseconds.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import pstats
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from sidecar.api.enforcement.v1 import enforcement_pb2 as pb
from sidecar.domain.requests import Check
from sidecar.rpc.parse import parse_check
from sidecar.service.enforce import Answer, Replay
from sidecar.service.needs import Needs
from tests.bench.errors import BenchError
from tests.bench.figures import turn_order
from tests.bench.inside import Engine, now_us, open_engine
from tests.bench.traffic import Traffic

_PROFILE_LINES = 25


def make_checks(traffic: Traffic, count: int) -> list[Check]:
    """Parsed checks with idempotency keys of their own."""
    at_us = now_us()
    bodies = traffic.checks(count)
    return [parse_check(pb.CheckAndIncrementRequest.FromString(body), at_us) for body in bodies]


def run(engine: Engine, checks: list[Check]) -> float:
    """CPU microseconds a check. Raises BenchError where one was not counted."""
    # What the benchmark itself holds is no work for the collector, as it is none in a sidecar.
    gc.collect()
    gc.freeze()
    decide = engine.enforcer.check_and_increment
    answers: list[Answer | Replay | Needs] = []
    start_ns = time.process_time_ns()
    for check in checks:
        answers.append(decide(check, now_us()))  # noqa: PERF401  a comprehension is no server
    spent_ns = time.process_time_ns() - start_ns
    if not all(isinstance(answer, Answer) and answer.record_id for answer in answers):
        raise BenchError("a check was not counted afresh")
    return spent_ns / len(checks) / 1000


def profile(engine: Engine, checks: list[Check]) -> None:
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
    parser.add_argument("--profile", action="store_true", help="one round, under the profiler")
    return parser.parse_args()


def main() -> None:
    arguments = _arguments()
    spent: list[list[float]] = [[] for _ in arguments.store]
    with ExitStack() as stack:
        engines = [stack.enter_context(open_engine(store)) for store in arguments.store]
        traffics = [
            Traffic(arguments.companies, users, feature)
            for users, feature in zip(arguments.users, arguments.feature, strict=True)
        ]
        for engine, traffic in zip(engines, traffics, strict=True):
            run(engine, make_checks(traffic, arguments.checks))  # warm-up
        if arguments.profile:
            profile(engines[0], make_checks(traffics[0], arguments.checks))
            return
        for turn in range(arguments.rounds):
            for index in turn_order(range(len(engines)), turn):
                checks = make_checks(traffics[index], arguments.checks)
                spent[index].append(run(engines[index], checks))
    print(json.dumps({"us_per_check": spent}))


if __name__ == "__main__":
    main()
