"""The table of calls."""

from __future__ import annotations

from tests.bench.calls_table import calls_table
from tests.bench.figures import summary


def test_row_for_each_section_of_calls_with_what_it_has() -> None:
    sections = {
        "check_tcp_deadline_8x8": summary({"cpu_us_per_call": [35.0], "cpu_ratio": [0.175]}),
        "echo": summary({"cpu_us_per_call": [210.0], "calls_per_s": [4_100.0]}),
        "engine": summary({"us_per_check": [24.0]}),
    }
    headings, _, *rows = (line.split() for line in calls_table(sections).splitlines())
    assert ["route", "callers", "who", "answers", "CPU", "us", "p50", "us"] == headings[:8]
    assert [
        ["Unix", "socket", "8x1", "echo", "(E)", "210.0", "4,100"],
        ["TCP,", "deadlines", "8x8", "check", "35.0", "0.17"],
    ] == rows


def test_no_table_without_calls() -> None:
    assert "" == calls_table({"engine": summary({"us_per_check": [24.0]})})
