"""Custom metadata: what behaviours see and send, and its spelling as fields of HTTP/2.

Values of names that end with "-bin" are bytes and travel in base64 (sent without padding, received
with or without); others are printable ASCII.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

Metadata: TypeAlias = Sequence[tuple[str, str | bytes]]

_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_VALUE: Final = re.compile(r"[\x20-\x7e]*")
_BINARY: Final = "-bin"


def decoded(pairs: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str | bytes]]:
    """Received fields as behaviours see them. What is no base64 is left out."""
    metadata: list[tuple[str, str | bytes]] = []
    for raw_name, raw_value in pairs:
        name = raw_name.decode("ascii")
        if not name.endswith(_BINARY):
            metadata.append((name, raw_value.decode("utf-8", "replace")))
            continue
        for part in raw_value.split(b","):
            value = _from_base64(part.strip())
            if value is not None:
                metadata.append((name, value))
    return metadata


def _from_base64(text: bytes) -> bytes | None:
    try:
        return base64.b64decode(text.rstrip(b"=") + b"=" * (-len(text.rstrip(b"=")) % 4))
    except binascii.Error:
        return None


def encoded(metadata: Metadata) -> list[tuple[bytes, bytes]]:
    """Metadata as fields to send.

    Raises ValueError for names and values that must not be sent.
    """
    return [_encoded(name, value) for name, value in metadata]


def _encoded(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    if not _NAME.fullmatch(name) or name.startswith("grpc-"):
        raise ValueError(
            f"metadata name {name!r}: allowed are a-z, 0-9, '_', '-' and '.', not grpc-*"
        )
    if name.endswith(_BINARY):
        if isinstance(value, str):
            raise ValueError(f"metadata {name}: the value must be bytes")
        return name.encode(), to_base64(value)
    text = value.decode("ascii", "replace") if isinstance(value, bytes) else value
    if not _VALUE.fullmatch(text):
        raise ValueError(f"metadata {name}: the value must be printable ASCII")
    return name.encode(), text.strip(" ").encode()


def to_base64(value: bytes) -> bytes:
    """Base64 without padding."""
    return base64.b64encode(value).rstrip(b"=")
