"""HTTP/2 frames (RFC 9113) as far as a unary gRPC client needs them. Pure."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
CANCEL: Final = 8

# SETTINGS_...
HEADER_TABLE_SIZE: Final = 1
ENABLE_PUSH: Final = 2
MAX_CONCURRENT_STREAMS: Final = 3
INITIAL_WINDOW_SIZE: Final = 4
MAX_FRAME_SIZE: Final = 5

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEADER_BYTES: Final = 9
FRAME_BYTES_MAX: Final = 16_384  # of the payload; the protocol's default, both ways
PEER_WINDOW_BYTES: Final = 65_535  # the protocol's default
NUMBER_MAX: Final = 2**31 - 1  # of stream numbers and windows

FRAME: Final = struct.Struct(">BHBBI")  # length (8 + 16 bits), type, flags, stream
SETTING: Final = struct.Struct(">HI")


class ProtocolError(Exception):
    """The peer broke HTTP/2, ended the connection, or does what this client does not support."""


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame; the caller keeps the payload within the peer's maximum frame size."""
    length = len(payload)
    return FRAME.pack(length >> 16, length & 0xFFFF, kind, flags, stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*item) for item in values.items()))


def number(value: int) -> bytes:
    """The payload of WINDOW_UPDATE and RST_STREAM."""
    return value.to_bytes(4, "big")
