"""The shared case files pass, and the runner reports what does not."""

import json
import os
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any, Final

import pytest

from tests.conformance.cases import CASE_KINDS, main, run_files

_BESIDE_REPOSITORY: Final = Path(__file__).resolve().parents[2].parent / "shared"
_CASES: Final = Path(os.environ.get("TALLYD_SHARED", _BESIDE_REPOSITORY)) / "cases"

_GOOD: Final = {
    "id": "month",
    "unit": "MONTH",
    "interval": 1,
    "time_zone": "Asia/Kathmandu",
    "alignment": "ANCHORED",
    "anchor": "2025-01-30T18:15:00Z",
    "first_weekday": 0,
    "at": "2025-03-01T00:00:00Z",
    "start": "2025-02-27T18:15:00Z",
    "end": "2025-03-30T18:15:00Z",
}
_SPENT: Final[dict[str, Any]] = {
    "id": "spent",
    "ops": [
        {"op": "grant", "id": "g1", "at": 5, "amount": 9, "priority": 1, "kind": "PAID"}
        | {"effective_at": 5, "expires_at": 8},
        {"op": "debit", "id": "d1", "at": 5, "amount": 6},
        {"op": "debit", "id": "d2", "at": 6, "amount": 4},
        {"op": "refund", "debit": "d1", "at": 7, "amount": 1},
        {"op": "refund", "debit": "d1", "at": 8, "amount": 2},
        {"op": "void", "id": "g1", "at": 8},
    ],
    "expect": [
        {"available": 9},
        {"available": 3, "allowed": True, "burned": [["g1", 6]]},
        {"available": 3, "allowed": False},
        {"available": 4, "returned": [["g1", 1]], "lost": 0},
        {"available": 0, "returned": [], "lost": 2},
        {"available": 0, "voided": 0},
    ],
}


def _write(directory: Path, *lines: object, kind: str = "windows") -> Path:
    file = directory / f"{kind}.jsonl"
    texts = [line if isinstance(line, str) else json.dumps(line) for line in lines]
    file.write_text("\n".join(texts) + "\n", "utf-8")
    return file


@pytest.mark.parametrize("kind", sorted(CASE_KINDS))
def test_shared_cases_pass(kind: str) -> None:
    file = _CASES / f"{kind}.jsonl"
    if not file.is_file():
        pytest.skip("no shared case files here: set TALLYD_SHARED to the directory that has them")
    out = StringIO()
    tally = run_files([file], out)
    cases = len(file.read_text("utf-8").splitlines())
    assert f"{kind}.jsonl: {cases} cases, 0 failed\n{cases} passed, 0 failed\n" == out.getvalue()
    assert (cases, 0) == (tally.passed, tally.failed)


def test_all_passed_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, _GOOD, "", _GOOD)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "windows.jsonl: 2 cases, 0 failed\n2 passed, 0 failed\n"


def test_a_wrong_window_is_a_line_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, _GOOD, _GOOD | {"id": "chained", "end": "2025-03-27T18:15:00Z"})
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        "windows.jsonl chained: "
        "expected [2025-02-27T18:15:00.000000Z, 2025-03-27T18:15:00.000000Z), "
        "got [2025-02-27T18:15:00.000000Z, 2025-03-30T18:15:00.000000Z)\n"
        "windows.jsonl: 2 cases, 1 failed\n"
        "1 passed, 1 failed\n"
    )


def test_a_wrong_step_of_a_burndown_is_a_line_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expect = [*_SPENT["expect"]]
    expect[2] = {"allowed": True, "available": 3, "burned": []}
    _write(tmp_path, _SPENT, _SPENT | {"id": "owed", "expect": expect}, kind="burndown")
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        'burndown.jsonl owed: expected step 2: {"allowed":true,"available":3,"burned":[]}, '
        'got step 2: {"allowed":false,"available":3}\n'
        "burndown.jsonl: 2 cases, 1 failed\n"
        "1 passed, 1 failed\n"
    )


@pytest.mark.parametrize(
    ("changes", "failure"),
    [
        ({"ops": []}, "Expected `array` of length >= 1 - at `$.ops`"),
        ({"ops": [{"op": "steal", "at": 5}]}, "Invalid value 'steal' - at `$.ops[0].op`"),
        ({"ops": [{"op": "void", "id": "g1"}]}, "missing required field `at` - at `$.ops[0]`"),
        ({"expect": [{"available": 9}]}, "zip() argument 2 is shorter than argument 1"),
        (
            {"ops": [_SPENT["ops"][0] | {"amount": 0}]},
            "grant.amount: must be 1 to 2^63-1, not 0",
        ),
    ],
)
def test_a_bad_burndown_is_a_failure(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    changes: dict[str, object],
    failure: str,
) -> None:
    _write(tmp_path, _SPENT | changes, kind="burndown")
    assert main([str(tmp_path)]) == 1
    out = capsys.readouterr().out
    assert out.startswith("burndown.jsonl spent: bad case: ")
    assert out.endswith(f"{failure}\nburndown.jsonl: 1 case, 1 failed\n0 passed, 1 failed\n")


def test_a_file_of_an_unknown_kind_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, _GOOD)
    (tmp_path / "tides.jsonl").write_text("not even JSON\n", "utf-8")
    (tmp_path / "README.md").write_text("no case file\n", "utf-8")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "tides.jsonl: skipped, of no kind that this version knows\n"
        "windows.jsonl: 1 case, 0 failed\n"
        "1 passed, 0 failed\n"
    )


@pytest.mark.parametrize("broken", ['{"id": ', "{'id': 1}", "{} {}"])
def test_broken_json_fails_its_line_only_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    _write(tmp_path, _GOOD, broken, _GOOD)
    assert main([str(tmp_path)]) == 2
    failure, *counts = capsys.readouterr().out.splitlines()
    assert failure.startswith("windows.jsonl line 2: broken JSON: ")
    assert counts == ["windows.jsonl: 3 cases, 1 failed", "2 passed, 1 failed"]


def test_bytes_that_are_no_text_count_as_broken_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "windows.jsonl").write_bytes(b'{"id": "\xff\xfe\xff"}\n')
    assert main([str(tmp_path)]) == 2
    assert capsys.readouterr().out.endswith("\n0 passed, 1 failed\n")


@pytest.mark.parametrize(
    ("case", "failure"),
    [
        (["a", "list"], "line 1: bad case: must be an object, is ['a', 'list']"),
        ({"id": "empty"}, "empty: bad case: no such field or value: 'anchor'"),
        (_GOOD | {"unit": "FORTNIGHT"}, "month: bad case: no such field or value: 'FORTNIGHT'"),
        (_GOOD | {"interval": True}, "month: bad case: interval: must be an integer, is True"),
        (_GOOD | {"interval": 0}, "month: bad case: interval: must be 1 to 1000, is 0"),
        (_GOOD | {"at": 17}, "month: bad case: at: must be a string, is 17"),
        (_GOOD | {"at": "noon"}, "month: bad case: Invalid isoformat string: 'noon'"),
        (
            _GOOD | {"at": "2025-01-01T00:00:00"},
            "month: bad case: at: must end in Z or an offset, is '2025-01-01T00:00:00'",
        ),
        (
            _GOOD | {"time_zone": "Moon/Tycho"},
            "month: bad case: time_zone: unknown time zone 'Moon/Tycho'",
        ),
        (
            _GOOD | {"anchor": None},
            "month: bad case: anchor_us: an ANCHORED window needs an anchor",
        ),
    ],
)
def test_a_bad_case_is_a_failure_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: object, failure: str
) -> None:
    _write(tmp_path, case)
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        f"windows.jsonl {failure}\nwindows.jsonl: 1 case, 1 failed\n0 passed, 1 failed\n"
    )


@pytest.mark.parametrize(
    ("name", "case"),
    [
        pytest.param("more-burndowns.jsonl", _SPENT, id="burndowns by their steps"),
        pytest.param("leap-days.jsonl", _GOOD, id="windows by their ends"),
        pytest.param("windows.jsonl", _GOOD, id="the kind that it is called after"),
    ],
)
def test_a_file_that_is_named_runs_whatever_it_is_called(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, case: object
) -> None:
    file = tmp_path / name
    file.write_text(json.dumps(case) + "\n", "utf-8")
    assert main([str(file)]) == 0
    assert capsys.readouterr().out == f"{name}: 1 case, 0 failed\n1 passed, 0 failed\n"


@pytest.mark.parametrize(
    ("make", "why"),
    [
        pytest.param(lambda path: None, "no such file or directory", id="there is none"),
        pytest.param(Path.mkdir, "no case file (*.jsonl) in", id="a directory without case files"),
        pytest.param(
            lambda path: path.write_text('{"tide": "high"}\n', "utf-8"),
            "no case file of a kind that this version knows",
            id="a file of an unknown kind",
        ),
        pytest.param(
            lambda path: path.write_text("not JSON\n", "utf-8"),
            "no case file of a kind that this version knows",
            id="a file that is none",
        ),
    ],
)
def test_nothing_to_run_is_one_line_and_exits_with_2(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    make: Callable[[Path], object],
    why: str,
) -> None:
    path = tmp_path / "given"
    make(path)
    assert main([str(path)]) == 2
    expected = f"cases: {why}{' ' if why.endswith('in') else ': '}{path}; "
    assert capsys.readouterr().err == expected + "name another with: make cases CASES=path\n"
