"""Runs language-neutral case files: ``python -m tests.conformance.cases PATH``.

PATH is a case file, or a directory of them (``*.jsonl``). A case file has one JSON object a line,
all of one kind: the one that the file is called after (``KIND.jsonl``), else the one whose fields
its first case has. ``CASE_KINDS`` has, of each kind that this version knows, a function that takes
a case and returns what is expected and what the domain gives; the case passes if they are equal.
Output: a line for every failure, a line for every file, then ``N passed, N failed``. A file of an
unknown kind is said to be skipped. Exit status: 0 all passed, 1 some failed, 2 a line is no JSON
(it counts as failed, and the rest still runs), or there is nothing to run.
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
_FIELDS: Final[Mapping[str, frozenset[str]]] = {
    "burndown": frozenset({"ops", "expect"}),
    "windows": frozenset({"unit", "at", "start", "end"}),
}
"""By which fields a case is known to be of a kind."""


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
    files: int = 0


def run_files(files: Sequence[Path], out: TextIO) -> Tally:
    """Runs case files one after another and reports to ``out``."""
    whole = Tally()
    for file in files:
        lines = [line for line in enumerate(_lines(file), start=1) if line[1].strip()]
        kind = _kind_of(file, lines)
        if kind is None:
            print(f"{file.name}: skipped, of no kind that this version knows", file=out)
            continue
        tally = _run_lines(file.name, kind, lines, out)
        cases = tally.passed + tally.failed
        noun = "case" if cases == 1 else "cases"
        print(f"{file.name}: {cases} {noun}, {tally.failed} failed", file=out)
        whole.files += 1
        whole.passed += tally.passed
        whole.failed += tally.failed
        whole.broken += tally.broken
    print(f"{whole.passed} passed, {whole.failed} failed", file=out)
    return whole


def _lines(file: Path) -> list[bytes]:
    return file.read_bytes().split(b"\n")


def _kind_of(file: Path, lines: Sequence[tuple[int, bytes]]) -> CaseKind | None:
    if file.stem in CASE_KINDS or not lines:
        return CASE_KINDS.get(file.stem)
    try:
        case = json.loads(lines[0][1])
    except ValueError:
        return None
    fields = set(case) if isinstance(case, dict) else set()
    return next((CASE_KINDS[kind] for kind, has in _FIELDS.items() if has <= fields), None)


def _run_lines(
    file_name: str, kind: CaseKind, lines: Sequence[tuple[int, bytes]], out: TextIO
) -> Tally:
    tally = Tally()
    for number, line in lines:
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
            print(f"{file_name} {failure}", file=out)
    return tally


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
        description="Run a case file, or every one in a directory that this version knows.",
    )
    parser.add_argument("path", type=Path, metavar="PATH")
    path: Path = parser.parse_args(arguments).path
    if not path.exists():
        return _nothing_to_run(f"no such file or directory: {path}")
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        return _nothing_to_run(f"no case file (*.jsonl) in {path}")
    tally = run_files(files, sys.stdout)
    if not tally.files:
        return _nothing_to_run(f"no case file of a kind that this version knows: {path}")
    if tally.broken:
        return 2
    return 1 if tally.failed else 0


def _nothing_to_run(why: str) -> int:
    print(f"cases: {why}; name another with: make cases CASES=path", file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main())
