"""Sums over a trace equal those of the values that it was written from."""

import csv
import io
import json
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.traces import SkippedLine, Trace, TraceRow

QUANTITIES = st.integers(0, 2**63 - 1)
LINE_ENDS = st.sampled_from(["\n", "\r\n", "\n\n"])
PATHS = st.text(st.characters(exclude_characters='"\\\r\n ?', exclude_categories=["Cs"]))


def summed(content: str, format_name: str) -> tuple[Counter[str], int]:
    """Sums by feature, and the number of lines that could not be used."""
    sums: Counter[str] = Counter()
    skipped = 0

    def add(item: TraceRow | SkippedLine) -> None:
        nonlocal skipped
        if isinstance(item, SkippedLine):
            skipped += 1
            return
        for check in item.checks:
            sums[check.feature] += check.quantity

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace"
        path.write_bytes(content.encode())
        Trace(path, format_name).scan(on_item=add)
    return sums, skipped


@given(
    rows=st.lists(st.tuples(QUANTITIES, QUANTITIES, st.text("ab,\" '"))),
    order=st.permutations(["TIMESTAMP", "ContextTokens", "GeneratedTokens", "Note"]),
    quote_all=st.booleans(),
    bad=st.lists(st.sampled_from(["x,y,z,w", "1,2", '"']), max_size=3),
    end=LINE_ENDS,
    mark=st.sampled_from(["", "\ufeff"]),
)
@settings(max_examples=50, deadline=None)
def test_azure_llm_sums_are_those_of_the_rows(
    rows: list[tuple[int, int, str]],
    order: list[str],
    quote_all: bool,
    bad: list[str],
    end: str,
    mark: str,
) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(
        text,
        order,
        quoting=csv.QUOTE_ALL if quote_all else csv.QUOTE_MINIMAL,
        lineterminator=end,
    )
    writer.writeheader()
    for context, generated, note in rows:
        writer.writerow(
            {
                "TIMESTAMP": "2024-05-10 00:00:00.009930+00:00",
                "ContextTokens": context,
                "GeneratedTokens": generated,
                "Note": note,
            }
        )
    expected = {
        "context_tokens": sum(row[0] for row in rows),
        "generated_tokens": sum(row[1] for row in rows),
        "llm_requests": len(rows),
    }
    sums, skipped = summed(mark + text.getvalue() + end.join(bad), "azure-llm")
    assert (+Counter(expected), len(bad)) == (+sums, skipped)


@given(rows=st.lists(st.tuples(PATHS, st.none() | st.integers(0, 10**18))), end=LINE_ENDS)
@settings(max_examples=50, deadline=None)
def test_access_log_sums_are_those_of_the_rows(
    rows: list[tuple[str, int | None]], end: str
) -> None:
    lines = [
        f'2001:db8::{number % 7} - - [17/May/2015:10:05:03 +0000] "GET /{path} HTTP/1.1" 200 '
        + ("-" if size is None else str(size))
        for number, (path, size) in enumerate(rows)
    ]
    expected = {
        "http_requests": len(rows),
        "response_bytes": sum(size or 0 for _, size in rows),
    }
    sums, skipped = summed(end.join(lines), "access-log")
    assert (+Counter(expected), 0) == (+sums, skipped)


@given(
    rows=st.lists(
        st.tuples(
            st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=30), QUANTITIES
        )
    )
)
@settings(max_examples=50, deadline=None)
def test_jsonl_sums_are_those_of_the_rows(rows: list[tuple[str, int]]) -> None:
    expected: Counter[str] = Counter()
    lines = []
    for number, (feature, quantity) in enumerate(rows):
        expected[feature] += quantity
        written = quantity if number % 2 else str(quantity)
        line = {"company": "acme", "feature": feature, "quantity": written}
        lines.append(json.dumps(line, ensure_ascii=bool(number % 3)))
    sums, skipped = summed("\n".join(lines), "jsonl")
    assert (+expected, 0) == (+sums, skipped)
