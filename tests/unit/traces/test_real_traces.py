import os
from collections import Counter
from pathlib import Path
from typing import Final

import pytest

from sidecar.traces import SkippedLine, Trace, TraceRow, TraceScan

_BESIDE_REPOSITORY: Final = Path(__file__).resolve().parents[5] / "shared"
_DATA: Final = Path(os.environ.get("TALLYD_SHARED", _BESIDE_REPOSITORY)) / "data"


def summed(name: str, format_name: str) -> tuple[TraceScan, Counter[str], set[str]]:
    path = _DATA / name
    if not path.exists():
        pytest.skip("no recorded traffic here: set TALLYD_SHARED to the directory that has it")
    sums: Counter[str] = Counter()
    companies: set[str] = set()

    def add(item: TraceRow | SkippedLine) -> None:
        assert isinstance(item, TraceRow)
        for check in item.checks:
            sums[check.feature] += check.quantity
            companies.add(check.company)

    return Trace(path, format_name).scan(on_item=add), sums, companies


def test_the_llm_trace_has_its_published_sums() -> None:
    scan, sums, companies = summed("azure_llm_2023_code.csv", "azure-llm")
    assert (8_819, 26_457, 0) == (scan.rows, scan.checks, scan.skipped)
    assert {
        "context_tokens": 18_059_974,
        "generated_tokens": 245_896,
        "llm_requests": 8_819,
    } == sums
    assert 10 == len(companies)


def test_the_access_log_has_its_published_sums() -> None:
    scan, sums, companies = summed("apache_access_2015.log", "access-log")
    assert (10_000, 0) == (scan.rows, scan.skipped)
    # Bytes as awk adds them up, "-" being 0.
    assert {"http_requests": 10_000, "response_bytes": 2_747_282_740} == sums
    assert 1_753 == len(companies)
