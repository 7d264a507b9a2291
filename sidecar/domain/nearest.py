"""The known name that somebody may have meant by one that is unknown."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Final

NAMES_MAX: Final = 2_000
"""Most names that are looked at."""
_CELLS_MAX: Final = 50_000
"""Most steps of the comparison, over all names: some milliseconds."""
_CHARACTERS_MAX: Final = 64
_TYPOS_MAX: Final = 3
_BEGINNING_MIN: Final = 3
"""Characters from which on the beginning of a name is a way to mean it."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name that is nearest to a word, or `None` where none is near.

    Near is what differs by case, spaces, hyphens and underscores alone, then what is a typing
    mistake or two away (one for each three characters, at most three; letters that changed places
    are one), then what begins with the word, or the word with it; of equals the first in order.
    Looks at `NAMES_MAX` names at most, and stops early where comparing them is long work.
    """
    folded = _folded(word)
    typos_max = min(_TYPOS_MAX, max(1, len(folded) // 3))
    best, least, cells = None, typos_max + 1, _CELLS_MAX
    if not 2 <= len(folded) <= _CHARACTERS_MAX:
        return None
    for name in islice(known, NAMES_MAX):
        other = _folded(name)
        typos = typos_max + 2
        if abs(len(other) - len(folded)) <= typos_max:
            if cells <= 0:
                break
            typos, used = _typos(folded, other, typos_max)
            cells -= used
        if typos > typos_max:
            typos = typos_max + (1 if _begins(folded, other) else 2)
        if typos < least or (typos == least and (best is None or name < best)):
            best, least = name, typos
    return best


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` to end a sentence about an unknown name; empty if none is near."""
    name = nearest(word, known)
    return "" if name is None else f"; did you mean {name!r}?"


def lacks(what: str, name: str, known: Iterable[str]) -> str:
    """Say that the catalog lacks a feature, plan or add-on, and which one may have been meant."""
    return f"the catalog has no {what} {name!r}{did_you_mean(name, known)}"


def _folded(name: str) -> str:
    return name.casefold().replace("-", "").replace("_", "").replace(" ", "")


def _begins(one: str, other: str) -> bool:
    short, long = sorted((one, other), key=len)
    return len(short) >= _BEGINNING_MIN and long.startswith(short)


def _typos(one: str, other: str, most: int) -> tuple[int, int]:
    """Typing mistakes between two texts, `most + 1` where there are more, and steps taken.

    That is their optimal string alignment distance, worked out beside the diagonal alone.
    """
    if len(one) < len(other):
        one, other = other, one
    width = len(other)
    before: list[int] = []
    row = list(range(width + 1))
    cells = 1
    for at, character in enumerate(one, 1):
        earlier, before, row = before, row, [most + 1] * (width + 1)
        row[0] = at
        for place in range(max(1, at - most), min(width, at + most) + 1):
            same = character == other[place - 1]
            typos = min(before[place] + 1, row[place - 1] + 1, before[place - 1] + (not same))
            swapped = one[at - 2 : at] == other[place - 2 : place][::-1]
            if swapped and at > 1 and place > 1:
                typos = min(typos, earlier[place - 2] + 1)
            row[place] = typos
            cells += 1
        if min(row) > most and min(before) > most:
            return most + 1, cells
    return min(row[width], most + 1), cells
