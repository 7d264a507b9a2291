import gzip
import json
import os
import signal
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.bounds import HANG_SECONDS_MAX, RUN_SECONDS_MAX
from tests.support.processes import tallyd_command

_BESIDE_REPOSITORY: Final = Path(__file__).resolve().parents[3] / "shared"
_DATA: Final = Path(os.environ.get("TALLYD_SHARED", _BESIDE_REPOSITORY)) / "data"
_COMMAND: Final = [*tallyd_command(), "demo"]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*_COMMAND, *options],
        env={**os.environ, "TMPDIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=RUN_SECONDS_MAX,
        check=False,
    )


def differences(done: subprocess.CompletedProcess[str]) -> list[int]:
    """What each reconciliation found."""
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    return [json.loads(line)["difference"] for line in lines]


def table_row(done: subprocess.CompletedProcess[str], *cells: str) -> bool:
    return any(tuple(line.split()) == cells for line in done.stdout.splitlines())


def overages(done: subprocess.CompletedProcess[str]) -> list[int]:
    """What the ledger has above limits, by feature, where the file's own sums agree."""
    rows = [line.split() for line in done.stdout.splitlines() if " over limit  " in line]
    return [int(row[4]) for row in rows if row[1:3] == ["over", "limit"] and row[5:] == ["equal"]]


def leftovers(folder: Path) -> list[str]:
    """Files of the demo that are still there, and processes that use them."""
    found = [str(path) for path in folder.glob("tallyd-demo-*")]
    for command_line in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if f"{folder}/tallyd-demo-" in command_line.read_text(errors="replace"):
                found.append(str(command_line))
        except OSError:
            continue  # it has just ended
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "t"
    path.mkdir()
    return path


def test_the_sample_story_is_told_to_its_end(folder: Path) -> None:
    done = run(folder)
    assert 0 == done.returncode, done.stderr
    assert [0, 0] == differences(done)
    assert table_row(
        done, "acme", "tokens", "50000", "allowed", "ALLOWED", "110000", "100000", "SOFT", "10000"
    )
    assert table_row(
        done, "globex", "exports", "2", "denied", "LIMIT_EXCEEDED", "2", "3", "HARD", "-"
    )
    assert "replayed" in done.stdout
    assert "Together: 100 of 100, and never one more." in done.stdout
    assert table_row(done, "micro-credits", "burned", "600000", "600000", "0")
    assert table_row(done, "seats", "held", "3", "3", "0")
    assert table_row(done, "most", "jobs", "at", "a", "time", "10", "10", "0")
    assert [] == leftovers(folder)


def test_a_folder_that_is_kept_has_stores_and_logs(folder: Path) -> None:
    done = run(folder, "--keep")
    assert 0 == done.returncode, done.stderr
    (kept,) = folder.glob("tallyd-demo-*")
    assert f"Kept: {kept}" in done.stdout
    assert {"control.db", "control.log", "sidecar.log", "sidecar-2.log", "store", "store-2"} <= {
        p.name for p in kept.iterdir()
    }


def azure_llm(path: Path) -> Path:
    rows = [f"2024-05-10 00:00:{n % 60:02}.009930+00:00,{n},{n % 3}" for n in range(300)]
    content = "\r\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows, "no row", ""])
    path.write_bytes(b"\xef\xbb\xbf" + content.encode())
    return path


def access_log(path: Path) -> Path:
    lines = [
        f"10.0.0.{n % 7} - - [17/May/2015:10:{n // 60:02}:{n % 60:02} +0000] "
        f'"GET /page/{n}?q=1 HTTP/1.1" 200 {n}'
        for n in range(300)
    ]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def jsonl(path: Path) -> Path:
    checks: list[dict[str, Any]] = [
        {
            "company": f"c{n % 3}",
            "feature": f"f{n % 5}",
            "quantity": n,
            "event_time": f"2026-{1 + n % 6:02}-01T00:00:00Z",
            "idempotency_key": "the same for all",
        }
        for n in range(300)
    ]
    path.write_text("\n".join(json.dumps(check) for check in checks))
    return path


@pytest.mark.parametrize(
    ("format_name", "write", "name", "rows"),
    [
        pytest.param(
            "azure-llm", azure_llm, "t.csv", [("context_tokens", 44_850), ("llm_requests", 300)]
        ),
        pytest.param(
            "access-log", access_log, "t.gz", [("http_requests", 300), ("response_bytes", 44_850)]
        ),
        pytest.param("jsonl", jsonl, "longer than 35 days", [("f0", 8_850), ("f4", 9_090)]),
    ],
)
def test_a_trace_is_in_the_ledger_once(
    folder: Path, format_name: str, write: Any, name: str, rows: list[tuple[str, int]]
) -> None:
    done = run(folder, "--trace", str(write(folder / name)), "--format", format_name)
    assert 0 == done.returncode, done.stderr
    assert [0, 0] == differences(done)
    for feature, total in rows:
        assert table_row(done, feature, "quantity", str(total), str(total), "equal")
    assert max(overages(done)) > 0
    assert [] == leftovers(folder)


@pytest.mark.parametrize(
    ("name", "format_name", "sums"),
    [
        (
            "azure_llm_2023_code.csv",
            "azure-llm",
            {"context_tokens": 18_059_974, "generated_tokens": 245_896, "llm_requests": 8_819},
        ),
        (
            "apache_access_2015.log",
            "access-log",
            {"http_requests": 10_000, "response_bytes": 2_747_282_740},
        ),
    ],
)
def test_recorded_traffic_is_in_the_ledger_once(
    folder: Path, name: str, format_name: str, sums: dict[str, int]
) -> None:
    if not (_DATA / name).exists():
        pytest.skip("no recorded traffic here: set TALLYD_SHARED to the directory that has it")
    done = run(folder, "--trace", str(_DATA / name), "--format", format_name)
    assert 0 == done.returncode, done.stderr
    assert [0, 0] == differences(done)
    for feature, total in sums.items():
        assert table_row(done, feature, "quantity", str(total), str(total), "equal")
    assert 2 * len(sums) == len(overages(done))
    assert min(overages(done)) > 0


@pytest.mark.parametrize(
    ("content", "options"),
    [
        pytest.param("x", ("--trace",), id="no format"),
        pytest.param("x\ny", ("--format", "jsonl", "--trace"), id="another format"),
        pytest.param("", ("--format", "jsonl", "--trace"), id="empty"),
    ],
)
def test_a_trace_that_cannot_be_used_starts_nothing(
    folder: Path, content: str, options: tuple[str, ...]
) -> None:
    trace = folder / "trace"
    trace.write_text(content)
    done = run(folder, *options, str(trace))
    assert 2 == done.returncode
    assert "control plane:" not in done.stdout
    assert [] == leftovers(folder)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_demo_that_is_stopped_leaves_nothing(folder: Path, number: signal.Signals) -> None:
    demo = subprocess.Popen(
        _COMMAND,
        env={**os.environ, "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("sidecar:"):
                demo.send_signal(number)
                break
        demo.stdout.read()
        assert 130 == demo.wait(HANG_SECONDS_MAX)
    assert [] == leftovers(folder)
