"""What the readers of messages share."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import TypeVar

from sidecar.domain.catalog_rules import Problem, path_text
from sidecar.domain.errors import InvalidInput

Enum = TypeVar("Enum", bound=enum.IntEnum)


def member(kind: type[Enum], number: int, field: str, default: Enum | None = None) -> Enum:
    """The member of an enum that has the API's number; `InvalidInput` for unknown ones.

    0 stands for the default, and is refused where there is none.
    """
    if not number:
        if default is None:
            raise InvalidInput(field, "must be set")
        return default
    try:
        return kind(number)
    except ValueError:
        raise InvalidInput(field, f"has no value with number {number}") from None


def below(field: str, path: str) -> str:
    """The path of something inside a field; the field is empty for a request as a whole."""
    return f"{field}.{path}" if field and path else field or path


def refuse_any(problems: Iterable[Problem], field: str) -> None:
    """Raise the first problem, if there is one, as `InvalidInput` below a field."""
    for problem in problems:
        raise InvalidInput(below(field, path_text(problem.path)), problem.message)
