"""Work in slices: what takes long, done a little at a time, so that calls go on in between.

A piece of work is a generator that yields after each bounded part of it and returns what came of
it. It does not say who else goes on meanwhile: that is for whoever drives it.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TypeAlias, TypeVar

T = TypeVar("T")

Slices: TypeAlias = Generator[None, None, T]


def whole(work: Slices[T]) -> T:
    """Do all of a piece of work at once."""
    while True:
        try:
            next(work)
        except StopIteration as end:
            result: T = end.value
            return result


def pages(items: Sequence[T], size: int) -> Iterator[Sequence[T]]:
    """The items in order, so many at a time."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
