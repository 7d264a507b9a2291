"""`make sim`: thousands of runs, each of its seed alone, and what came of them.

A seed that shows something wrong is cut down to the steps that it takes, and told with them; with
`--seed` it is played once, with a line for each thing that happens.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator
from typing import Final

import structlog

from tests.simulation.leases.flawless import measure_all
from tests.simulation.leases.generate import schedule_of
from tests.simulation.leases.mutations import MUTATIONS, first_seed_that_shows
from tests.simulation.leases.player import play
from tests.simulation.leases.report import Outcome, summary_of
from tests.simulation.leases.schedule import LeaseSchedule, read_schedule
from tests.simulation.leases.shrink import shrunk

CHUNK: Final = 4
SHRUNK_MAX: Final = 5
_TELL_SECONDS: Final = 10.0


def main() -> int:
    """Run as the arguments say; 1 where something was wrong."""
    arguments = _arguments()
    _say_nothing_else()
    if arguments.mutations:
        return _find_mutations(arguments.seeds)
    if arguments.schedule or arguments.seed is not None:
        schedule = schedule_of(arguments.seed)
        if arguments.schedule:
            schedule = read_schedule(arguments.schedule)
        return _replay(schedule)
    outcomes = list(_told(_outcomes(arguments.first, arguments.seeds, arguments.jobs)))
    measured = [] if arguments.faults_only else measure_all()
    for outcome in [each for each in outcomes if each.violation][:SHRUNK_MAX]:
        _tell_shrunk(outcome.seed)
    text, as_json = summary_of(outcomes, measured)
    print(text)
    print(as_json)
    return int(any(outcome.violation for outcome in outcomes))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.leases")
    parser.add_argument("--seeds", type=int, default=1_000, help="how many runs")
    parser.add_argument("--first", type=int, default=1, help="seed of the first")
    parser.add_argument("--seed", type=int, help="play this one, and tell what happens")
    parser.add_argument("--schedule", help="play this schedule (JSON), and tell what happens")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes at once")
    parser.add_argument("--mutations", action="store_true", help="find deliberate bugs instead")
    parser.add_argument("--faults-only", action="store_true", help="leave out runs without faults")
    return parser.parse_args()


def _say_nothing_else() -> None:
    """Sidecars and planes that fail on purpose have much to log."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


def _replay(schedule: LeaseSchedule) -> int:
    outcome = play(schedule, print)
    print(outcome.violation or "nothing is wrong")
    return int(bool(outcome.violation))


def _find_mutations(seeds: int) -> int:
    """Say by which seed each deliberate bug is found; 1 where one is not."""
    missed = 0
    for name in MUTATIONS:
        found = first_seed_that_shows(name, seeds)
        missed += found is None
        seed, shown = found or (None, f"not found in {seeds} seeds")
        print(f"{name:32} {seed or '':>6}  {shown}", flush=True)
    return int(missed > 0)


def _outcomes(first: int, seeds: int, jobs: int) -> Iterator[Outcome]:
    numbers = range(first, first + seeds)
    if jobs == 1:
        yield from map(_play_seed, numbers)
        return
    with multiprocessing.Pool(jobs, _say_nothing_else) as pool:
        yield from pool.imap_unordered(_play_seed, numbers, CHUNK)


def _play_seed(seed: int) -> Outcome:
    return play(schedule_of(seed))


def _told(outcomes: Iterator[Outcome]) -> Iterator[Outcome]:
    """Tell now and then how far they are, to who waits."""
    told_at = time.monotonic()
    broken = 0
    for number, outcome in enumerate(outcomes, 1):
        if outcome.violation:
            broken += 1
            print(f"seed {outcome.seed}: {outcome.violation}", flush=True)
        if time.monotonic() - told_at >= _TELL_SECONDS:
            told_at = time.monotonic()
            print(f"{number} runs, {broken} of them wrong", file=sys.stderr, flush=True)
        yield outcome


def _tell_shrunk(seed: int) -> None:
    """Tell what it takes for a seed to go wrong."""
    schedule = shrunk(schedule_of(seed), lambda some: bool(play(some).violation))
    outcome = play(schedule)
    print(f"seed {seed} comes down to {len(schedule.steps)} steps: {outcome.violation}")
    print(schedule.text())


if __name__ == "__main__":
    if os.environ.get("PYTHONHASHSEED") != "0":
        # Sets of names are in an order of their own in each process: a seed is to replay exactly.
        os.environ["PYTHONHASHSEED"] = "0"
        os.execv(sys.executable, [sys.executable, "-m", "tests.simulation.leases", *sys.argv[1:]])
    sys.exit(main())
