"""The check of sizes finds what is too large, and says by how much."""

from __future__ import annotations

from tests.lint.sizes import (
    FILE_LINES_MAX,
    FUNCTION_LINES_MAX,
    TEST_FILE_LINES_MAX,
    too_large,
)

ONE_MORE = FILE_LINES_MAX + 1
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * FUNCTION_LINES_MAX


def test_a_file_of_one_line_more_is_found() -> None:
    assert [] == list(too_large("sidecar/a.py", "x = 1\n" * FILE_LINES_MAX))
    assert [f"sidecar/a.py: {ONE_MORE} lines, the most is {FILE_LINES_MAX}"] == list(
        too_large("sidecar/a.py", "x = 1\n" * ONE_MORE)
    )


def test_a_test_file_may_have_more() -> None:
    assert [] == list(too_large("tests/a.py", "x = 1\n" * TEST_FILE_LINES_MAX))


def test_a_function_of_one_line_more_is_found() -> None:
    size = FUNCTION_LINES_MAX + 1

    assert [f"sidecar/a.py:1: f has {size} lines, the most is {FUNCTION_LINES_MAX}"] == list(
        too_large("sidecar/a.py", LONG_FUNCTION)
    )
    assert [] == list(too_large("sidecar/api/a.py", LONG_FUNCTION))
