"""The shared case files pass, and the runner reports what does not."""

import json
import os
from io import StringIO
from pathlib import Path
from typing import Final

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


def _write(directory: Path, *lines: object) -> Path:
    file = directory / "windows.jsonl"
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
    assert f"{cases} passed, 0 failed\n" == out.getvalue()
    assert (cases, 0) == (tally.passed, tally.failed)


def test_all_passed_exits_with_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _write(tmp_path, _GOOD, "", _GOOD)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == "2 passed, 0 failed\n"


def test_a_wrong_window_is_a_line_and_exits_with_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, _GOOD, _GOOD | {"id": "chained", "end": "2025-03-27T18:15:00Z"})
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().out == (
        "windows.jsonl chained: "
        "expected [2025-02-27T18:15:00.000000Z, 2025-03-27T18:15:00.000000Z), "
        "got [2025-02-27T18:15:00.000000Z, 2025-03-30T18:15:00.000000Z)\n"
        "1 passed, 1 failed\n"
    )


def test_a_file_of_an_unknown_kind_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _write(tmp_path, _GOOD)
    (tmp_path / "tides.jsonl").write_text("not even JSON\n", "utf-8")
    (tmp_path / "README.md").write_text("no case file\n", "utf-8")
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out == (
        "skipped: tides.jsonl (not known to this version)\n1 passed, 0 failed\n"
    )


@pytest.mark.parametrize("broken", ['{"id": ', "{'id': 1}", "{} {}"])
def test_broken_json_fails_its_line_only_and_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], broken: str
) -> None:
    _write(tmp_path, _GOOD, broken, _GOOD)
    assert main([str(tmp_path)]) == 2
    failure, summary = capsys.readouterr().out.splitlines()
    assert failure.startswith("windows.jsonl line 2: broken JSON: ")
    assert summary == "2 passed, 1 failed"


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
    assert capsys.readouterr().out == f"windows.jsonl {failure}\n0 passed, 1 failed\n"


def test_a_missing_directory_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([str(tmp_path / "nowhere")])
    assert exit_info.value.code == 2
    assert f"no such directory: {tmp_path / 'nowhere'}\n" in capsys.readouterr().err


def test_a_directory_without_case_files_exits_with_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as exit_info:
        main([str(tmp_path)])
    assert exit_info.value.code == 2
    assert f"no case file (*.jsonl) in {tmp_path}\n" in capsys.readouterr().err
