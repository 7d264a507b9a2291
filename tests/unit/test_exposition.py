"""The naming conventions that metrics are held to: each finds what breaks it."""

from __future__ import annotations

import pytest

from tests.support.exposition import problems

GOOD = """# HELP app_calls_total Calls.
# TYPE app_calls_total counter
app_calls_total{code="OK"} 1
# HELP app_wait_seconds Waits.
# TYPE app_wait_seconds histogram
app_wait_seconds_bucket{le="0.1"} 1
app_wait_seconds_bucket{le="+Inf"} 1
app_wait_seconds_sum 0.1
app_wait_seconds_count 1
# HELP app_info What runs.
# TYPE app_info gauge
app_info{version="1"} 1
"""


def one(name: str, kind: str = "gauge", labels: str = "") -> str:
    return f"# HELP {name} Words.\n# TYPE {name} {kind}\n{name}{labels} 1\n"


def test_what_keeps_to_the_conventions_passes() -> None:
    assert [] == problems(GOOD)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("# TYPE app_size_bytes gauge\napp_size_bytes 1\n", "no help"),
        ("# HELP app_x Words.\napp_x 1\n", "no type"),
        (one("appSize"), "not in lower case"),
        (one("app_calls_total"), "_total, and no counter"),
        (one("app_gauge_x"), "has its type in its name"),
        (one("app_wait_ms"), "abbreviates its unit"),
        (one("app_wait_milliseconds"), "not in a base unit"),
        (one("app_wait_hours"), "not in a base unit"),
        (one("app_size_megabytes"), "not in a base unit"),
        (one("app_calls_count"), "as a histogram's series"),
        (one("app_calls", labels='{le="1"}'), "has a histogram's label"),
        (one("app_calls", labels='{a="1"}') + 'app_calls{a="1"} 2\n', "the same labels"),
    ],
)
def test_what_breaks_one_is_found(text: str, problem: str) -> None:
    assert any(problem in found for found in problems(text))
