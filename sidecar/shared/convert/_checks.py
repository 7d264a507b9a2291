"""What the readers of messages share."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from sidecar.domain.errors import InvalidInput
from sidecar.domain.slices import Slices
from sidecar.domain.validation import RuleProblem, field_path_text

Enum = TypeVar("Enum", bound=enum.IntEnum)
Message = TypeVar("Message")
Value = TypeVar("Value")


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


def each(
    messages: Sequence[Message], read: Callable[[Message, str], Value], field: str
) -> Slices[tuple[Value, ...]]:
    """Read messages in slices of one; `field` is that which holds them all."""
    found = []
    for at, message in enumerate(messages):
        found.append(read(message, f"{field}[{at}]"))
        yield
    return tuple(found)


def refuse_any_in_slices(checks: Iterable[Iterable[RuleProblem]], field: str) -> Slices[None]:
    """The same as `refuse_any`, in slices of one check."""
    for check in checks:
        refuse_any(check, field)
        yield


def refuse_any(problems: Iterable[RuleProblem], field: str) -> None:
    """Raise the first problem, if there is one, as `InvalidInput` below a field."""
    for problem in problems:
        raise InvalidInput(below(field, field_path_text(problem.path)), problem.message)
