"""Which texts may be names: of companies, features, limits, dimensions and their values, keys.

Rules
- New names have no control characters, line breaks, surrogates or controls that override the
  direction of writing, no code points that Unicode does not assign, and no spaces at either end.
  Whatever else a script needs is fine: joiners, variation selectors, wide spaces within.
- What is assigned is said by one version of Unicode (`unicode_table.VERSION`), not by Python's:
  what one pod takes, no other refuses.
- Names are compared as they are written, byte by byte. Nothing is normalized: two spellings that
  look alike are two names. Whoever wants them to be one sends NFC.
- Names that come from a store, a database or another program may be of other rules, older or newer.
  They are refused only where they could not be kept apart or told: for being empty or too long, for
  control characters, line breaks and surrogates. So what was named before goes on being served.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import Final

from sidecar.domain import unicode_table
from sidecar.domain.bounds import IDENTIFIER_BYTES_MAX
from sidecar.domain.errors import InvalidInput

_CONTROLS: Final = ((0x00, 0x1F), (0x7F, 0x9F))
_LINE_BREAKS: Final = ((0x2028, 0x2029),)
_SURROGATES: Final = ((0xD800, 0xDFFF),)
_DIRECTIONS: Final = ((0x202A, 0x202E), (0x2066, 0x2069))
SPACES: Final = frozenset(
    "\t\n\v\f\r \x85\xa0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a"
    "\u200b\u2028\u2029\u202f\u205f\u3000\ufeff"
)
"""White space, and the spaces without a width."""


class NameRule:
    """What a name may be. `refused`: where ranges of code points begin and are over, in order."""

    __slots__ = ("_outer_spaces", "_refused")

    def __init__(self, refused: tuple[int, ...], *, outer_spaces: bool) -> None:
        self._refused = refused
        self._outer_spaces = outer_spaces

    def problem(self, text: str, bytes_max: int) -> str | None:
        """What keeps a text from being a name of so many bytes; it may be empty."""
        if text.isascii() and text.isprintable():
            size_bytes = len(text)
            if size_bytes <= bytes_max and " " not in text:
                return None
        elif len(text) > bytes_max:  # said before all of it is looked at
            size_bytes = len(text)
        else:
            for char in text:
                if bisect_right(self._refused, ord(char)) & 1:
                    return f"must be printable, has U+{ord(char):04X}: {_what(ord(char))}"
            size_bytes = len(text.encode())
        if size_bytes > bytes_max:
            return f"must be at most {bytes_max} bytes, is {size_bytes}"
        if text and not self._outer_spaces and (text[0] in SPACES or text[-1] in SPACES):
            return "must not begin or end with a space"
        return None

    def identifier_problem(self, text: str, bytes_max: int = IDENTIFIER_BYTES_MAX) -> str | None:
        """The same of a name that must not be empty."""
        return self.problem(text, bytes_max) if text else "must not be empty"

    def require(self, field: str, text: str, bytes_max: int) -> None:
        """A name of at most so many bytes of UTF-8, or an empty one; else `InvalidInput`."""
        problem = self.problem(text, bytes_max)
        if problem is not None:
            raise InvalidInput(field, problem)

    def require_identifier(self, field: str, text: str) -> str:
        """A name of 1 to 128 bytes of UTF-8, else `InvalidInput`."""
        problem = self.identifier_problem(text)
        if problem is not None:
            raise InvalidInput(field, problem)
        return text


def is_displayable(char: str) -> bool:
    """Whether a character neither steers a terminal nor turns around what is beside it."""
    return not bisect_right(_REFUSED_OF_NEW, ord(char)) & 1


def _what(point: int) -> str:
    for ranges, name in (
        (_CONTROLS, "a control character"),
        (_LINE_BREAKS, "a line break"),
        (_SURROGATES, "a surrogate"),
        (_DIRECTIONS, "it overrides the direction of writing"),
    ):
        if any(first <= point <= last for first, last in ranges):
            return name
    return f"Unicode {unicode_table.VERSION} does not assign it"


def _ends(ranges: Iterable[tuple[int, int]]) -> tuple[int, ...]:
    """Where ranges begin and where they are over, in order: a point is within at odd places."""
    return tuple(end for first, last in sorted(ranges) for end in (first, last + 1))


def _unassigned() -> list[tuple[int, int]]:
    ends = (entry.partition("-") for entry in unicode_table.UNASSIGNED.split())
    return [(int(first, 16), int(last or first, 16)) for first, _, last in ends]


_NEVER: Final = (*_CONTROLS, *_LINE_BREAKS, *_SURROGATES)
_REFUSED_OF_NEW: Final = _ends([*_NEVER, *_DIRECTIONS, *_unassigned()])

NEW_NAMES: Final = NameRule(_REFUSED_OF_NEW, outer_spaces=False)
"""Of names that are given now."""
KNOWN_NAMES: Final = NameRule(_ends(_NEVER), outer_spaces=True)
"""Of names that may be there already, or come from another program."""
