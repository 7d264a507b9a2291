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
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Final, Generic, NamedTuple, Protocol

import structlog

from tests.simulation.leases.mutating import Mutations
from tests.simulation.leases.report import Measured, Outcome, summary_of
from tests.simulation.leases.schedule import S, Schedule
from tests.simulation.leases.shrink import shrunk

CHUNK: Final = 4
SHRUNK_MAX: Final = 5
_TELL_SECONDS: Final = 10.0


class ScheduleOf(Protocol[S]):
    """Makes the schedule of a seed."""

    def __call__(self, seed: int, only: Collection[str] = ()) -> Schedule[S]:
        """`only`: what happens in it, rather than all there is."""


class Kind(NamedTuple, Generic[S]):
    """A simulator, by its module's name. `measure`: runs without faults."""

    module: str
    schedule_of: ScheduleOf[S]
    read: Callable[[str], Schedule[S]]
    play: Callable[[Schedule[S], Callable[[str], None] | None], Outcome]
    mutations: Mutations
    measure: Callable[[], Sequence[Measured]]

    def main(self) -> int:
        """Run as the arguments say; 1 where something was wrong."""
        if os.environ.get("PYTHONHASHSEED") != "0":
            # Sets of names have an order of their own in each process: seeds are to replay exactly.
            os.environ["PYTHONHASHSEED"] = "0"
            os.execv(sys.executable, [sys.executable, "-m", self.module, *sys.argv[1:]])
        arguments = _arguments(self.module)
        _say_nothing_else()
        if arguments.mutations:
            return self._find_mutations(arguments.seeds)
        if arguments.schedule or arguments.seed is not None:
            return self._replay(
                self.read(arguments.schedule)
                if arguments.schedule
                else self.schedule_of(arguments.seed)
            )
        outcomes = list(_told(self._outcomes(arguments.first, arguments.seeds, arguments.jobs)))
        measured = [] if arguments.faults_only else self.measure()
        for outcome in [each for each in outcomes if each.violation][:SHRUNK_MAX]:
            self._tell_shrunk(outcome.seed)
        text, as_json = summary_of(outcomes, measured)
        print(text)
        print(as_json)
        return int(any(outcome.violation for outcome in outcomes))

    def play_seed(self, seed: int) -> Outcome:
        """Play the schedule of a seed."""
        return self.play(self.schedule_of(seed), None)

    def _replay(self, schedule: Schedule[S]) -> int:
        outcome = self.play(schedule, print)
        print(outcome.violation or "nothing is wrong")
        return int(bool(outcome.violation))

    def _find_mutations(self, seeds: int) -> int:
        """Say by which seed each deliberate bug is found; 1 where one is not."""
        missed = 0
        for name in self.mutations:
            found = self.mutations.first_seed_that_shows(name, seeds)
            missed += found is None
            seed, shown = found or (None, f"not found in {seeds} seeds")
            print(f"{name:32} {seed or '':>6}  {shown}", flush=True)
        return int(missed > 0)

    def _outcomes(self, first: int, seeds: int, jobs: int) -> Iterator[Outcome]:
        numbers = range(first, first + seeds)
        if jobs == 1:
            yield from map(self.play_seed, numbers)
            return
        with multiprocessing.Pool(jobs, _say_nothing_else) as pool:
            yield from pool.imap_unordered(self.play_seed, numbers, CHUNK)

    def _tell_shrunk(self, seed: int) -> None:
        """Tell what it takes for a seed to go wrong."""
        schedule = shrunk(
            self.schedule_of(seed), lambda some: bool(self.play(some, None).violation)
        )
        outcome = self.play(schedule, None)
        print(f"seed {seed} comes down to {len(schedule.steps)} steps: {outcome.violation}")
        print(schedule.text())


def _arguments(module: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
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
