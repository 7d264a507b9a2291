"""The benchmark: `python -m tests.bench` measures, writes build/bench.json and prints a table.

Servers and driver are processes of their own; what is compared is measured in turns, in one run.
A missed target is a result and no failure; a call that fails, or that is answered wrong, is one.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from tests.bench import (
    batch,
    calls,
    calls_table,
    change,
    credit_burning,
    disk,
    engine,
    first_calls,
    growth,
    leases,
    limits,
    machine,
    profiles,
    report,
    seats,
)
from tests.bench.errors import BenchError
from tests.bench.figures import Section
from tests.bench.servers import ROOT
from tests.bench.sizes import FULL, QUICK
from tests.bench.workbench import Workbench, workbench

SECTIONS: Final = (
    "calls", "batch", "engine", "growth", "footprint", "disk", "limits", "leases", "credits",
    "seats", "first_calls", "change",
)  # fmt: skip
INTERRUPTED: Final = 130


def measure(bench: Workbench, wanted: set[str]) -> dict[str, Section]:
    """The sections asked for; `calls` become a section for each kind of call."""
    stores = growth.GrownStores(bench)
    parts: Mapping[str, Callable[[], dict[str, Section]]] = {
        "calls": lambda: calls.measure_calls(bench),
        "batch": lambda: batch.measure_batches(bench),
        "engine": lambda: engine.measure_engine(bench),
        "limits": lambda: limits.measure_limits(bench),
        "leases": lambda: leases.measure_leases(bench),
        "credits": lambda: credit_burning.measure_credits(bench),
        "seats": lambda: seats.measure_seats(bench),
        "first_calls": lambda: first_calls.measure_first_calls(bench),
        "change": lambda: change.measure_change(bench),
        # Before the disk is busy with big stores.
        "disk": lambda: disk.measure_disk(bench),
        "growth": lambda: growth.measure_growth(bench, stores),
        "footprint": lambda: growth.measure_footprint(bench, stores),
    }
    assert set(SECTIONS) == set(parts)
    sections: dict[str, Section] = {}
    for name, part in parts.items():
        if name in wanted:
            began_s = time.monotonic()
            sections |= part()
            bench.say(f"{name}: done in {time.monotonic() - began_s:.0f} s")
    return sections


def run(arguments: argparse.Namespace) -> None:
    """Measure and report; raises BenchError where something is broken."""
    began_s = time.monotonic()
    with workbench(arguments.scratch, QUICK if arguments.quick else FULL) as bench:
        if arguments.profile:
            profiles.show(bench)
            return
        facts = machine.facts(bench.folder)
        sections = measure(bench, arguments.only)
    seconds = time.monotonic() - began_s
    conditions = {"machine": facts, "quick": arguments.quick, "left_out": bench.left_out}
    _write(arguments.output, {**sections, **conditions})
    for table in (calls_table.calls_table(sections), report.table(sections)):
        if table:
            print(f"\n{table}")
    for name, reason in bench.left_out.items():
        print(f"\nLeft out: {name}: {reason}.")
    print(f"\n{_closing(sections, facts, seconds)}")
    print(f"All figures and rounds: {arguments.output}")


def _write(output: Path, result: Mapping[str, object]) -> None:
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")


def _closing(sections: Mapping[str, Section], facts: Mapping[str, object], seconds: float) -> str:
    missed = len(report.missed(sections))
    verdict = f"{missed} missed" if missed else "met"
    return (
        f"Targets: {verdict}. {facts['processors']} x {facts['processor']}, store on "
        f"{facts['store_file_system']}, load average {facts['load_average_1m']} before; "
        f"{seconds:.0f} s."
    )


def _sections(text: str) -> set[str]:
    names = set(text.split(","))
    if unknown := names.difference(SECTIONS):
        known = ", ".join(SECTIONS)
        raise argparse.ArgumentTypeError(f"no section {', '.join(sorted(unknown))}; of: {known}")
    return names


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="measure tallyd")
    parser.add_argument("--quick", action="store_true", help="small counts: does it run at all?")
    parser.add_argument(
        "--only",
        type=_sections,
        default=set(SECTIONS),
        metavar="SECTION,...",
        help=f"of {', '.join(SECTIONS)}; the output then has these alone",
    )
    parser.add_argument(
        "--profile", action="store_true", help="instead: print where check's CPU time goes"
    )
    build = ROOT / "build"
    parser.add_argument(
        "--output", type=Path, default=build / "bench.json", help="default: build/bench.json"
    )
    parser.add_argument(
        "--scratch", type=Path, default=build, help="folder on the disk to measure; default: build"
    )
    return parser.parse_args()


def main() -> int:
    """Exit code 0: measured; 1: something is broken; 130: interrupted."""
    if sys.platform != "linux":
        print("bench: it reads CPU time and memory from Linux's /proc", file=sys.stderr)
        return 1
    for number in (signal.SIGTERM, signal.SIGINT):  # the latter is ignored in shells' background
        signal.signal(number, signal.default_int_handler)  # both stop everything in order
    try:
        run(_arguments())
    except BenchError as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return INTERRUPTED
    return 0


if __name__ == "__main__":
    sys.exit(main())
