"""Sizes: a file is one idea, and a function fits on a page."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator
from pathlib import Path

FILE_LINES_MAX = 325
TEST_FILE_LINES_MAX = 400
"""Tables of cases are long, and no harder to read for it."""
FUNCTION_LINES_MAX = 70

_GENERATED = "sidecar/api/"


def too_large(path: str, source: str) -> Iterator[str]:
    """One line for each file or function that is larger than it may be."""
    if path.startswith(_GENERATED):
        return
    lines = source.count("\n")
    lines_max = TEST_FILE_LINES_MAX if path.startswith("tests/") else FILE_LINES_MAX
    if lines > lines_max:
        yield f"{path}: {lines} lines, the most is {lines_max}"
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            size = (node.end_lineno or node.lineno) - node.lineno + 1
            if size > FUNCTION_LINES_MAX:
                limit = FUNCTION_LINES_MAX
                yield f"{path}:{node.lineno}: {node.name} has {size} lines, the most is {limit}"


def check(root: Path, files: Iterable[Path]) -> list[str]:
    """Every offence in the repository's files of Python."""
    return [
        line
        for path in files
        if path.suffix == ".py"
        for line in too_large(path.as_posix(), (root / path).read_text("utf-8"))
    ]
