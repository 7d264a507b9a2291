"""What is wrong with a catalog file, and where."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeAlias

Path: TypeAlias = tuple[str | int, ...]
"""Keys and indexes that lead from the top of a file to a field."""

PROBLEMS_MAX: Final = 50
"""Most problems that are told at once."""
_SHOWN_CHARACTERS_MAX: Final = 60
_BARE_KEY: Final = re.compile(r"[\w-]+")


class FilePosition(NamedTuple):
    """A place in a file; both count from 1, columns in characters.

    `source`: the file's name where there are several.
    """

    line: int
    column: int
    source: str = ""


NOWHERE: Final = FilePosition(0, 0)
"""The file as a whole."""


class Finding(NamedTuple):
    """Something that is wrong with a field, whose place is still to be looked up.

    `at_key`: the field's name is wrong, not its value.
    """

    path: Path
    message: str
    at_key: bool = False


class FileProblem(NamedTuple):
    """Something that is wrong: `plans.pro.entitlements.tokens` is a field, "" is none."""

    at: FilePosition
    field: str
    message: str

    def text(self, source: str) -> str:
        """Write it as `source:line:column: field: message`."""
        source = self.at.source or source
        place = f"{source}:{self.at.line}:{self.at.column}" if self.at.line else source
        field = f"{self.field}: " if self.field else ""
        return f"{place}: {field}{self.message}"


class CatalogFileError(ValueError):
    """A catalog file cannot be used.

    `problems` are in the order of the files, at most PROBLEMS_MAX; `omitted` counts the others.
    """

    def __init__(self, source: str, problems: Iterable[FileProblem]) -> None:
        found = sorted(set(problems), key=lambda problem: (problem.at.source, problem))
        self.source = source
        self.problems = tuple(found[:PROBLEMS_MAX])
        self.omitted = len(found) - len(self.problems)
        super().__init__("\n".join(self.lines()))

    def lines(self) -> list[str]:
        """Return one line for each problem, and one for those that are left out."""
        lines = [problem.text(self.source) for problem in self.problems]
        if self.omitted:
            lines.append(f"{self.source}: and {self.omitted} more")
        return lines


def shown(value: object) -> str:
    """Write a value of the file for a message, cut where it is long."""
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= _SHOWN_CHARACTERS_MAX else text[:_SHOWN_CHARACTERS_MAX] + "..."


def path_text(path: Path) -> str:
    """Write a path such as `plans.pro.entitlements.tokens`, keys quoted where that is clearer."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        else:
            key = step if _BARE_KEY.fullmatch(step) else json.dumps(step, ensure_ascii=False)
            text += f".{key}" if text else key
    return text
