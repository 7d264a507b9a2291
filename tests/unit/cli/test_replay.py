import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from sidecar.cli.main import main
from sidecar.shared.api_json import instant_of
from sidecar.shared.wall_clock import wall_us
from sidecar.traces import driver
from tests.unit.traces.fake_sidecar import FakeSidecar, serving

ROWS = 25
CONTEXT = sum(range(ROWS))
GENERATED = 2 * CONTEXT
SUMS = {"context_tokens": CONTEXT, "generated_tokens": GENERATED, "llm_requests": ROWS}


@pytest.fixture
def fake() -> Iterator[FakeSidecar]:
    with serving(FakeSidecar()) as fake:
        yield fake


@pytest.fixture
def llm_trace(tmp_path: Path) -> Path:
    rows = [f"2023-11-16 18:17:{n:02}.5000000,{n},{2 * n}" for n in range(ROWS)]
    rows[3], rows[-1] = rows[-1], rows[3]  # the last event is not in the last row
    path = tmp_path / "trace.csv"
    path.write_text("\n".join(["TIMESTAMP,ContextTokens,GeneratedTokens", *rows]))
    return path


def run(fake: FakeSidecar, file: Path, format_name: str, *options: str) -> Result:
    arguments = ["replay", str(file), "--format", format_name, "--sidecar", fake.address]
    return CliRunner().invoke(main, [*arguments, *options], catch_exceptions=False)


def summary(result: Result) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def part(result: Result, *names: str) -> dict[str, Any]:
    found = summary(result)
    return {name: found[name] for name in names}


def lines_of(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines))
    return path


def jsonl(tmp_path: Path, *checks: Mapping[str, object]) -> Path:
    return lines_of(tmp_path / "trace.jsonl", *(json.dumps(check) for check in checks))


@pytest.mark.parametrize("options", [(), ("--batch", "7"), ("--batch", "1000", "--json")])
def test_everything_is_sent_and_summed(
    fake: FakeSidecar, llm_trace: Path, options: tuple[str, ...]
) -> None:
    result = run(fake, llm_trace, "azure-llm", *options)
    expected = {
        "sent": 3 * ROWS,
        "allowed": 3 * ROWS,
        "denied": 0,
        "replayed": 0,
        "errors": 0,
        "quantity": SUMS,
        "rows": ROWS,
        "skipped": 0,
        "complete": True,
    }
    assert 0 == result.exit_code
    assert expected == part(result, *expected)
    assert SUMS == fake.used


def test_the_summary_alone_is_printed_with_json(fake: FakeSidecar, llm_trace: Path) -> None:
    result = run(fake, llm_trace, "azure-llm", "--json")
    assert 1 == len(result.stdout.splitlines())
    assert "" == result.stderr


def test_batches_are_full_but_the_last(fake: FakeSidecar, llm_trace: Path) -> None:
    result = run(fake, llm_trace, "azure-llm", "--batch", "10", "--concurrency", "1")
    assert [10] * 7 + [5] == fake.batches
    assert {"calls": 8} == part(result, "calls")
    assert 0 == fake.unary_calls


def test_a_batch_is_closed_before_it_is_too_large_for_a_message(
    fake: FakeSidecar, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "CALL_BYTES_MAX", 3000)
    check = {"company": "a", "feature": "f", "metadata": {"note": "x" * 1000}}
    result = run(fake, jsonl(tmp_path, *[check] * 5), "jsonl", "--batch", "100")
    assert [1, 2, 2] == sorted(fake.batches)
    assert {"f": 5} == summary(result)["quantity"]


def test_so_many_calls_are_in_flight_and_no_more(fake: FakeSidecar, llm_trace: Path) -> None:
    run(fake, llm_trace, "azure-llm", "--concurrency", "3")
    assert fake.most_in_flight <= 3
    run(fake, llm_trace, "azure-llm", "--concurrency", "1")
    assert 6 * ROWS == fake.unary_calls


def test_one_call_at_a_time_keeps_the_order(fake: FakeSidecar, llm_trace: Path) -> None:
    run(fake, llm_trace, "azure-llm", "--concurrency", "1")
    companies = [check.company for check in fake.received[::3]]
    assert [f"company-{n % 10:02}" for n in range(ROWS)] == companies


def test_a_second_replay_with_row_keys_is_all_replayed(fake: FakeSidecar, llm_trace: Path) -> None:
    options = ("--idempotency-from", "row", "--batch", "9")
    fake.soft = {"llm_requests": 5}
    first = run(fake, llm_trace, "azure-llm", *options)
    second = run(fake, llm_trace, "azure-llm", *options)
    third = run(fake, llm_trace, "azure-llm", "--idempotency-from", "row", "--event-time", "now")
    assert 0 == summary(first)["replayed"]
    assert 20 == summary(first)["overage"]["llm_requests"]
    for again in (second, third):
        assert 3 * ROWS == summary(again)["replayed"]
        same = ("sent", "allowed", "denied", "errors", "quantity", "overage")
        assert part(first, *same) == part(again, *same)
    assert SUMS == fake.used


def test_without_keys_a_second_replay_counts_again(fake: FakeSidecar, llm_trace: Path) -> None:
    run(fake, llm_trace, "azure-llm")
    second = run(fake, llm_trace, "azure-llm")
    assert {"replayed": 0, "allowed": 3 * ROWS} == part(second, "replayed", "allowed")
    assert 2 * ROWS == fake.used["llm_requests"]


def test_row_keys_of_another_file_are_others(
    fake: FakeSidecar, llm_trace: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other.csv"
    other.write_text(llm_trace.read_text().replace("2023-11-16", "2023-11-17"))
    run(fake, llm_trace, "azure-llm", "--idempotency-from", "row")
    result = run(fake, other, "azure-llm", "--idempotency-from", "row")
    assert {"replayed": 0, "errors": 0} == part(result, "replayed", "errors")


def test_row_keys_replace_those_of_the_file(fake: FakeSidecar, tmp_path: Path) -> None:
    check = {"company": "a", "feature": "f", "idempotency_key": "own"}
    file = jsonl(tmp_path, check, check)
    assert 1 == summary(run(fake, file, "jsonl"))["replayed"]
    assert 0 == summary(run(fake, file, "jsonl", "--idempotency-from", "row"))["replayed"]
    assert 3 == fake.used["f"]


def test_the_last_event_is_at_the_start_of_the_replay(fake: FakeSidecar, llm_trace: Path) -> None:
    before_us = wall_us()
    run(fake, llm_trace, "azure-llm")
    times_us = [instant_of(check.event_time) for check in fake.received]
    assert before_us <= max(times_us) <= wall_us()
    assert (ROWS - 1) * 1_000_000 == max(times_us) - min(times_us)


def test_no_event_time_is_sent_when_all_happens_now(fake: FakeSidecar, llm_trace: Path) -> None:
    run(fake, llm_trace, "azure-llm", "--event-time", "now")
    assert not any(check.HasField("event_time") for check in fake.received)


def test_a_trace_that_is_too_long_is_refused_before_anything_is_sent(
    fake: FakeSidecar, tmp_path: Path
) -> None:
    times = ["2026-01-01T00:00:00Z", "2026-02-05T02:00:00Z"]
    checks = [{"company": "a", "feature": "f", "event_time": time} for time in times]
    file = jsonl(tmp_path, *checks)
    refused = run(fake, file, "jsonl")
    assert 2 == refused.exit_code
    assert "spans 35 d 2 h" in refused.stderr
    assert "--event-time now" in refused.stderr
    assert [] == fake.received
    assert 0 == run(fake, file, "jsonl", "--event-time", "now").exit_code
    assert 2 == fake.used["f"]


def test_lines_that_cannot_be_used_are_named_and_counted(fake: FakeSidecar, tmp_path: Path) -> None:
    file = lines_of(
        tmp_path / "access.log",
        '10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 200 10',
        "what is this\x1b[2J",
        '10.0.0.2 - - [17/May/2015:10:05:03 +0000] "GET / HTTP/1.1" 304 -',
    )
    result = run(fake, file, "access-log")
    assert 0 == result.exit_code
    assert "skipped line 2: is not in the common or combined log format\n" == result.stderr
    expected = {
        "sent": 3,
        "skipped": 1,
        "rows": 2,
        "quantity": {"http_requests": 2, "response_bytes": 10},
    }
    assert expected == part(result, *expected)


def test_many_lines_that_cannot_be_used_are_counted_at_the_end(
    fake: FakeSidecar, tmp_path: Path
) -> None:
    file = lines_of(tmp_path / "t", *["{"] * 250, '{"company": "a", "feature": "f"}')
    result = run(fake, file, "jsonl")
    told = result.stderr.splitlines()
    assert 101 == len(told)
    assert "skipped 150 more lines" == told[-1]
    assert 250 == summary(result)["skipped"]


@pytest.mark.parametrize("format_name", ["azure-llm", "access-log", "jsonl"])
def test_a_file_of_another_kind_is_refused(
    fake: FakeSidecar, tmp_path: Path, format_name: str
) -> None:
    result = run(fake, lines_of(tmp_path / "t", "Dear diary,", "today"), format_name)
    assert 2 == result.exit_code
    assert "line" in result.stderr
    assert "Dear" not in result.stdout
    assert [] == fake.received


def test_an_empty_file_sends_nothing(fake: FakeSidecar, tmp_path: Path) -> None:
    result = run(fake, lines_of(tmp_path / "t"), "jsonl")
    assert 0 == result.exit_code
    assert {"sent": 0, "rows": 0, "quantity": {}} == part(result, "sent", "rows", "quantity")


def test_a_compressed_file_is_read(fake: FakeSidecar, llm_trace: Path, tmp_path: Path) -> None:
    packed = tmp_path / "trace.csv.gz"
    packed.write_bytes(gzip.compress(llm_trace.read_bytes()))
    run(fake, llm_trace, "azure-llm", "--idempotency-from", "row")
    result = run(fake, packed, "azure-llm", "--idempotency-from", "row")
    assert 3 * ROWS == summary(result)["replayed"]


def test_only_the_first_rows_are_sent(fake: FakeSidecar, llm_trace: Path) -> None:
    result = run(fake, llm_trace, "azure-llm", "--limit-rows", "4", "--companies", "3")
    assert {"rows": 4, "sent": 12} == part(result, "rows", "sent")
    assert {"company-00", "company-01", "company-02"} == {c.company for c in fake.received}


@pytest.mark.parametrize("options", [("--concurrency", "1"), ("--batch", "5")])
def test_denials_are_counted_by_reason_and_are_no_errors(
    fake: FakeSidecar, llm_trace: Path, options: tuple[str, ...]
) -> None:
    fake.hard = {"llm_requests": 10}
    result = run(fake, llm_trace, "azure-llm", *options)
    assert 0 == result.exit_code
    expected = {"denied": 15, "denied_by_reason": {"LIMIT_EXCEEDED": 15}, "errors": 0}
    assert expected == part(result, *expected)
    assert 10 == summary(result)["quantity"]["llm_requests"]


@pytest.mark.parametrize("options", [(), ("--batch", "2")])
def test_an_error_is_told_with_its_line(
    fake: FakeSidecar, tmp_path: Path, options: tuple[str, ...]
) -> None:
    checks: list[dict[str, object]] = [
        {"company": "a", "feature": "f", "quantity": quantity, "idempotency_key": "k"}
        for quantity in (1, 2)
    ]
    result = run(fake, jsonl(tmp_path, *checks), "jsonl", "--concurrency", "1", *options)
    assert 1 == result.exit_code
    expected = {"sent": 2, "allowed": 1, "errors": 1, "errors_by_reason": {"ALREADY_EXISTS": 1}}
    assert expected == part(result, *expected)
    assert result.stderr == "error line 2: f: ALREADY_EXISTS: idempotency_key\n"


@pytest.mark.parametrize("options", [(), ("--batch", "10")])
def test_with_keys_a_sidecar_that_is_away_for_a_moment_is_asked_again(
    fake: FakeSidecar, llm_trace: Path, options: tuple[str, ...]
) -> None:
    fake.away = 5
    result = run(fake, llm_trace, "azure-llm", "--idempotency-from", "row", *options)
    assert 0 == result.exit_code
    expected = {"sent": 3 * ROWS, "allowed": 3 * ROWS, "errors": 0, "quantity": SUMS}
    assert expected == part(result, *expected)
    assert summary(result)["replayed"] > 0
    assert SUMS == fake.used


def test_without_keys_nothing_is_sent_twice(fake: FakeSidecar, llm_trace: Path) -> None:
    fake.away = 4
    result = run(fake, llm_trace, "azure-llm", "--concurrency", "1")
    assert 1 == result.exit_code
    expected = {"errors": 4, "errors_by_reason": {"UNAVAILABLE": 4}, "allowed": 3 * ROWS - 4}
    assert expected == part(result, *expected)
    assert 3 * ROWS == fake.unary_calls


def test_a_sidecar_that_stays_away_ends_the_replay(
    fake: FakeSidecar, llm_trace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "ATTEMPTS_MAX", 3)
    fake.away = 1_000_000
    options = ("--idempotency-from", "row", "--concurrency", "2")
    result = run(fake, llm_trace, "azure-llm", *options)
    assert 1 == result.exit_code
    assert {"complete": False, "sent": 2, "errors": 2} == part(result, "complete", "sent", "errors")
    assert "gave up" in result.stderr
    fake.away = 0
    result = run(fake, llm_trace, "azure-llm", *options)
    assert SUMS == summary(result)["quantity"]
    assert SUMS == fake.used


def test_a_sidecar_that_is_not_there_is_told(tmp_path: Path) -> None:
    fake = FakeSidecar(address=f"unix:{tmp_path}/none.sock")
    result = run(fake, jsonl(tmp_path, {"company": "a", "feature": "f"}), "jsonl", "--timeout=0.2s")
    assert 3 == result.exit_code
    assert "cannot reach the sidecar" in result.stderr


@pytest.mark.parametrize(
    "options",
    [
        ("--batch", "0"),
        ("--batch", "1001"),
        ("--concurrency", "0"),
        ("--companies", "0"),
        ("--limit-rows", "-1"),
        ("--event-time", "later"),
        ("--idempotency-from", "time"),
    ],
)
def test_wrong_usage_is_refused(
    fake: FakeSidecar, llm_trace: Path, options: tuple[str, ...]
) -> None:
    assert 2 == run(fake, llm_trace, "azure-llm", *options).exit_code
