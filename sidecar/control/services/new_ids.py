"""Ids that the plane makes, where a caller gives none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

_DIGITS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Of ids: in the order of their bytes, and without letters that look like others."""
_ID_LENGTH: Final = 11
"""Digits that hold microseconds for some thousand years."""


def new_id(now_us: int, is_taken: Callable[[str], bool]) -> str:
    """An id that is greater than those made before, as long as the clock goes forward."""
    number = max(0, now_us)
    while is_taken(id_ := _text_of(number)):
        number += 1
    return id_


def _text_of(number: int) -> str:
    digits = []
    for _ in range(_ID_LENGTH):
        number, digit = divmod(number, len(_DIGITS))
        digits.append(_DIGITS[digit])
    return "".join(reversed(digits))
