"""What the rules for catalog and companies are made of: problems, their paths, and bounds."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, NamedTuple, TypeAlias

from sidecar.domain import bounds
from sidecar.domain.formatting import duration_text
from sidecar.domain.text import KNOWN_NAMES, NEW_NAMES
from sidecar.domain.time.windows import END_INSTANT_US, FIRST_INSTANT_US

Path: TypeAlias = tuple[str | int, ...]

_UTF8_BYTES_MAX: Final = 4
"""Most bytes of a character."""


class RuleProblem(NamedTuple):
    """Something that is wrong, and where."""

    path: Path
    message: str


def field_path_text(path: Path) -> str:
    """Write a path as `plans[3].entitlements[0].feature`."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def identifier_problems(path: Path, text: str) -> Iterator[RuleProblem]:
    """Yield what keeps a text from being an identifier of 1 to 128 bytes of UTF-8."""
    yield from name_problems(path, text, bounds.IDENTIFIER_BYTES_MAX)


def name_problems(path: Path, text: str, bytes_max: int) -> Iterator[RuleProblem]:
    """Yield what keeps a text from being a name of so many bytes of UTF-8, and one at least."""
    problem = KNOWN_NAMES.identifier_problem(text, bytes_max)
    if problem is not None:
        yield RuleProblem(path, problem)


def new_name_problems(path: Path, text: str) -> Iterator[RuleProblem]:
    """Yield what keeps a text that is within its bounds from being given as a name now."""
    problem = NEW_NAMES.problem(text, len(text) * _UTF8_BYTES_MAX)
    if problem is not None:
        yield RuleProblem(path, problem)


def text_problems(path: Path, text: str, bytes_max: int) -> Iterator[RuleProblem]:
    """Yield what keeps a text from being at most so many bytes of UTF-8."""
    try:
        size_bytes = len(text.encode())
    except UnicodeEncodeError:
        yield RuleProblem(path, "must be text that UTF-8 can carry")
    else:
        if size_bytes > bytes_max:
            yield RuleProblem(path, f"must be at most {bytes_max} bytes, is {size_bytes}")


def number_problems(path: Path, number: int, minimum: int, maximum: int) -> Iterator[RuleProblem]:
    """Yield a number that lies outside its bounds, both inclusive."""
    if not minimum <= number <= maximum:
        yield RuleProblem(path, f"must be {minimum} to {maximum}, is {number}")


def duration_problems(
    path: Path, length_us: int, minimum_us: int, maximum_us: int
) -> Iterator[RuleProblem]:
    """Yield a length of time that lies outside its bounds, both inclusive."""
    if not minimum_us <= length_us <= maximum_us:
        shortest, longest, given = map(duration_text, (minimum_us, maximum_us, length_us))
        yield RuleProblem(path, f"must be {shortest} to {longest}, is {given}")


def instant_problems(path: Path, instant_us: int | None) -> Iterator[RuleProblem]:
    """Yield an instant that windows cannot be computed for."""
    if instant_us is not None and not FIRST_INSTANT_US <= instant_us < END_INSTANT_US:
        yield RuleProblem(path, "must lie in the years 2 to 9998")


def count_problems(path: Path, items: Collection[object], maximum: int) -> Iterator[RuleProblem]:
    """Yield that there are too many items."""
    if len(items) > maximum:
        yield RuleProblem(path, f"must be at most {maximum}, is {len(items)}")


def repeated_problems(collection: Path, field: Path, keys: Iterable[str]) -> Iterator[RuleProblem]:
    """Yield keys of a collection's items that have come before; `field` is theirs in an item."""
    seen: set[str] = set()
    for at, key in enumerate(keys):
        if key in seen:
            yield RuleProblem((*collection, at, *field), f"{key!r} is here twice")
        seen.add(key)


def below(path: Path, found: Iterable[RuleProblem]) -> Iterator[RuleProblem]:
    """Yield problems of something, with the path that leads to it."""
    for problem in found:
        yield RuleProblem(path + problem.path, problem.message)
