import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.traces import SkippedLine, Trace, TraceCheck, TraceError, TraceRow, TraceScan
from sidecar.traces.trace import LINE_BYTES_MAX, with_row_key

GOOD = b'{"company": "acme", "feature": "tokens"}'
GOOD_CHECK = TraceCheck("acme", "tokens")

Write = Callable[..., Trace]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write(content: bytes, name: str = "trace", format_name: str = "jsonl") -> Trace:
        path = tmp_path / name
        path.write_bytes(gzip.compress(content) if name.endswith(".gz") else content)
        return Trace(path, format_name)

    return write


def timed(second: int) -> bytes:
    return (
        f'{{"company": "a", "feature": "f", "event_time": "1970-01-01T00:00:{second:02}Z"}}'
    ).encode()


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(GOOD + b"\n\n" + GOOD + b"\n", id="line feeds"),
        pytest.param(GOOD + b"\r\n\r\n" + GOOD + b"\r\n", id="carriage returns"),
        pytest.param(GOOD + b"\n\n" + GOOD, id="no end of the last line"),
        pytest.param(b"\xef\xbb\xbf" + GOOD + b"\n\n" + GOOD, id="byte order mark"),
    ],
)
@pytest.mark.parametrize("name", ["trace", "trace.gz"])
def test_rows_know_their_line(write: Write, content: bytes, name: str) -> None:
    rows = [TraceRow(1, (GOOD_CHECK,)), TraceRow(3, (GOOD_CHECK,))]
    assert rows == list(write(content, name).items())


def test_lines_that_cannot_be_used_are_told(write: Write) -> None:
    long = b'{"company": "' + b"x" * (2 * LINE_BYTES_MAX) + b'"}'
    content = [
        b"{",
        GOOD,
        long,
        b'{"company": "", "feature": "f"}',
        b'{"company": "a", "feature": "f", "quantity": -1}',
        b'{"company": "' + b"x" * 129 + b'", "feature": "f"}',
        b'{"company": "a\\u0000", "feature": "f"}',
        b'{"company": "a", "feature": "f", "dimensions": {"": "x"}}',
        GOOD,
    ]
    items = list(write(b"\n".join(content)).items())
    assert [1, 2, 3, 4, 5, 6, 7, 8, 9] == [item.line for item in items]
    assert [2, 9] == [item.line for item in items if isinstance(item, TraceRow)]
    problems = [item.problem for item in items if isinstance(item, SkippedLine)]
    assert problems[1] == f"is longer than {LINE_BYTES_MAX} bytes"
    assert ["company", "quantity", "company", "company", "dimensions"] == [
        problem.partition(":")[0] for problem in problems[2:]
    ]


def test_a_scan_finds_the_extremes_of_unsorted_times(write: Write) -> None:
    content = b"\n".join([timed(20), timed(50), b"{", timed(10), GOOD])
    expected = TraceScan(
        rows=4, checks=4, skipped=1, last_line=5, first_us=10_000_000, last_us=50_000_000
    )
    found = write(content).scan()
    assert expected == found
    assert 40_000_000 == found.span_us


def test_a_scan_of_the_first_rows_leaves_the_rest(write: Write) -> None:
    content = b"\n".join([timed(20), b"{", timed(10), timed(50)])
    trace = write(content)
    scan = trace.scan(rows_max=2)
    assert TraceScan(2, 2, 1, 3, 10_000_000, 20_000_000) == scan
    assert [1, 2, 3] == [item.line for item in trace.items(last_line=scan.last_line)]


def test_a_scan_of_no_rows_is_empty(write: Write) -> None:
    assert TraceScan() == write(GOOD).scan(rows_max=0)
    assert 0 == TraceScan().span_us


def test_an_empty_file_has_no_rows(write: Write) -> None:
    assert TraceScan() == write(b"").scan()


@pytest.mark.parametrize(
    "content",
    [b"not compressed", gzip.compress(GOOD * 100, mtime=0)[:-12], b"\x1f\x8b\x08\x00junk"],
    ids=["no archive", "cut short", "damaged"],
)
def test_a_broken_archive_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "trace.gz"
    path.write_bytes(content)
    with pytest.raises(TraceError, match="cannot read"):
        Trace(path, "jsonl").scan()


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="No such file"):
        Trace(tmp_path / "none", "jsonl").scan()


def test_identity_is_that_of_the_content(write: Write) -> None:
    identity = write(GOOD, "a").identity()
    assert identity == write(GOOD, "b").identity()
    assert identity == write(GOOD, "b.gz").identity()
    assert identity != write(GOOD + b"\n", "c").identity()


def test_a_log_that_grows_keeps_its_identity(write: Write) -> None:
    head = GOOD * 200
    assert write(head, "a").identity() == write(head + GOOD, "b").identity()


def test_the_row_key_names_trace_line_and_feature() -> None:
    keyed = with_row_key(TraceCheck("acme", "tokens", idempotency_key="own"), "jsonl-abc", 17)
    assert TraceCheck("acme", "tokens", idempotency_key="jsonl-abc-17-tokens") == keyed


def test_the_row_key_of_a_long_feature_fits() -> None:
    first = with_row_key(TraceCheck("acme", "x" * 127 + "1"), "jsonl-abc", 17).idempotency_key
    second = with_row_key(TraceCheck("acme", "x" * 127 + "2"), "jsonl-abc", 17).idempotency_key
    assert first != second
    assert len(first) <= 128
