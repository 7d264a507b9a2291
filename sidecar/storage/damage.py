"""Damage: bytes in the store that this program did not write, or that do not hold together.

One error for all of it. Whatever turns stored bytes into values is marked `@reads`, so that the
many ways in which bytes can be wrong are one way for those who ask; beyond decoding nothing is
translated, since a mistake in the program must not pass for one on the disk.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

import msgspec

from sidecar.domain.errors import DataLoss

P = ParamSpec("P")
T = TypeVar("T")

UNREADABLE: Final = (
    struct.error,
    IndexError,
    ValueError,  # with UnicodeDecodeError
    OverflowError,
    RecursionError,
    msgspec.MsgspecError,
)
"""What decoding raises for bytes that nobody encoded."""


class StoreDamaged(DataLoss):
    """What is stored cannot be read, or cannot be."""

    def __init__(self, message: str) -> None:
        super().__init__("", message, "STORE_DAMAGED")


def damaged(error: Exception, what: str) -> StoreDamaged:
    """The error for bytes that could not be read as what they should be."""
    return StoreDamaged(f"damage in the store: {what}: {str(error) or type(error).__name__}")


def reads(what: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Mark a function that reads stored bytes: it raises `StoreDamaged` where they are none.

    Not for the path of a check, where a call more is felt; there the same is written out.
    """

    def marked(decode: Callable[P, T]) -> Callable[P, T]:
        @wraps(decode)
        def decoded(*args: P.args, **kwargs: P.kwargs) -> T:
            try:
                return decode(*args, **kwargs)
            except UNREADABLE as error:
                raise damaged(error, what) from error

        return decoded

    return marked
