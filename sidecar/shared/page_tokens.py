"""Page tokens: where a listing goes on, as text that a caller gives back."""

from __future__ import annotations

import base64
import binascii
from typing import TypeVar

import msgspec

from sidecar.domain.errors import InvalidInput

P = TypeVar("P")


def encode_place(place: object) -> str:
    """The token of a place."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def decode_place(token: str, kind: type[P]) -> P:
    """The place that a token stands for. What is in it is for the caller to check."""
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(token), type=kind)
    except (binascii.Error, ValueError, msgspec.MsgspecError):
        raise bad_token() from None


def bad_token() -> InvalidInput:
    """That a token is none."""
    return InvalidInput("page_token", "is none that an earlier answer gave")
