"""Runs the language-neutral case files of a directory: ``python -m tests.conformance.cases DIR``.

A case file is ``KIND.jsonl``, one JSON object a line. ``CASE_KINDS`` maps each kind that this
version knows to a function that takes a case and returns what is expected and what the domain
gives; the case passes if they are equal. Output: a line for every failure and for every file of an
unknown kind, then ``N passed, N failed``. Exit status: 0 all passed, 1 some failed, 2 a line is no
JSON (it counts as failed, and the rest still runs), or there is no such directory, or no case file
in it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TextIO

from sidecar.domain.errors import TallydError
from sidecar.domain.time.windows import Alignment, WindowSpec, WindowUnit, window_at
from tests.conformance.burndown_cases import burndown_case

Case = Mapping[str, object]
CaseKind = Callable[[Case], tuple[object, object]]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def window_case(case: Case) -> tuple[str, str]:
    """The expected window and the one that ``window_at`` gives, as text."""
    anchor = None if case["anchor"] is None else _instant_us(case, "anchor")
    spec = WindowSpec(
        unit=WindowUnit[text_field(case, "unit")],
        interval=int_field(case, "interval"),
        alignment=Alignment[text_field(case, "alignment")],
        first_weekday=int_field(case, "first_weekday"),
    )
    time_zone = text_field(case, "time_zone")
    window = window_at(spec, _instant_us(case, "at"), time_zone=time_zone, anchor_us=anchor)
    expected = _span_text(_instant_us(case, "start"), _instant_us(case, "end"))
    return expected, _span_text(window.start_us, window.end_us)


CASE_KINDS: Final[Mapping[str, CaseKind]] = {
    "burndown": burndown_case,
    "windows": window_case,
}


def text_field(case: Case, name: str) -> str:
    """A field that must be a string; ``ValueError`` with its name otherwise."""
    value = case[name]
    if not isinstance(value, str):
        raise ValueError(f"{name}: must be a string, is {value!r}")
    return value


def int_field(case: Case, name: str) -> int:
    """A field that must be an integer, not a bool; ``ValueError`` with its name otherwise."""
    value = case[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise ValueError(f"{name}: must be an integer, is {value!r}")
    return value


def _instant_us(case: Case, name: str) -> int:
    instant = datetime.fromisoformat(text_field(case, name))
    if instant.tzinfo is None:
        raise ValueError(f"{name}: must end in Z or an offset, is {case[name]!r}")
    return (instant - _EPOCH) // timedelta(microseconds=1)


def _span_text(start_us: int, end_us: int) -> str:
    start, end = (_EPOCH + timedelta(microseconds=instant) for instant in (start_us, end_us))
    return f"[{start:%Y-%m-%dT%H:%M:%S.%fZ}, {end:%Y-%m-%dT%H:%M:%S.%fZ})"


@dataclass(slots=True)
class Tally:
    """Counts of a run; ``broken`` are the failed lines that were not JSON at all."""

    passed: int = 0
    failed: int = 0
    broken: int = 0


def run_files(files: Sequence[Path], out: TextIO) -> Tally:
    """Runs case files one after another and reports to ``out``."""
    tally = Tally()
    for file in files:
        kind = CASE_KINDS.get(file.stem)
        if kind is None:
            print(f"skipped: {file.name} (not known to this version)", file=out)
        else:
            _run_file(file, kind, tally, out)
    print(f"{tally.passed} passed, {tally.failed} failed", file=out)
    return tally


def _run_file(file: Path, kind: CaseKind, tally: Tally, out: TextIO) -> None:
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            case = json.loads(line)
        except ValueError as error:
            tally.broken += 1
            failure: str | None = f"line {number}: broken JSON: {error}"
        else:
            failure = _failure(kind, case, number)
        if failure is None:
            tally.passed += 1
        else:
            tally.failed += 1
            print(f"{file.name} {failure}", file=out)


def _failure(kind: CaseKind, case: object, number: int) -> str | None:
    """Why a case fails, behind its id (its line where it has none); None if it passes."""
    if not isinstance(case, dict):
        return f"line {number}: bad case: must be an object, is {case!r}"
    name = case.get("id", f"line {number}")
    try:
        expected, got = kind(case)
    except KeyError as error:
        return f"{name}: bad case: no such field or value: {error}"
    except (ArithmeticError, TallydError, TypeError, ValueError) as error:
        return f"{name}: bad case: {error}"
    return None if expected == got else f"{name}: expected {expected}, got {got}"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.conformance.cases",
        description="Run every case file in a directory that this version knows.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR")
    directory: Path = parser.parse_args(arguments).directory
    if not directory.is_dir():
        parser.error(f"no such directory: {directory}")
    files = sorted(directory.glob("*.jsonl"))
    if not files:
        parser.error(f"no case file (*.jsonl) in {directory}")
    tally = run_files(files, sys.stdout)
    if tally.broken:
        return 2
    return 1 if tally.failed else 0


if __name__ == "__main__":
    sys.exit(main())
