"""HTTP/2 frames as far as a unary gRPC client needs them: numbers and bytes (RFC 9113, 6).

A frame starts with length (24 bits), type (8), flags (8) and stream (32). `FRAME` reads them as
three numbers, the first of which is length << 8 | type.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME: Final = struct.Struct(">IBI")
FRAME_HEAD_BYTES: Final = 9
FRAME_BYTES_MAX: Final = 16_384
"""Of a payload: the protocol's default, both ways."""
STREAM_ID_MAX: Final = 2**31 - 1

DATA: Final = 0
HEADERS: Final = 1
RST_STREAM: Final = 3
SETTINGS: Final = 4
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4

SETTINGS_HEADER_TABLE_SIZE: Final = 1
SETTINGS_ENABLE_PUSH: Final = 2
SETTINGS_MAX_CONCURRENT_STREAMS: Final = 3
SETTINGS_INITIAL_WINDOW_SIZE: Final = 4
SETTINGS_MAX_FRAME_SIZE: Final = 5

SETTING: Final = struct.Struct(">HI")
_NUMBER: Final = struct.Struct(">IBII")
_GOAWAY: Final = struct.Struct(">IBIII")


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    """One frame; the caller keeps the payload within the peer's maximum."""
    return FRAME.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """A SETTINGS frame."""
    return frame(SETTINGS, 0, 0, b"".join(SETTING.pack(*item) for item in values.items()))


SETTINGS_ACK: Final = frame(SETTINGS, ACK, 0)


def rst_stream(stream_id: int, code: int) -> bytes:
    """A RST_STREAM frame."""
    return _NUMBER.pack(4 << 8 | RST_STREAM, 0, stream_id, code)


def window_update(stream_id: int, increment: int) -> bytes:
    """A WINDOW_UPDATE frame; stream 0 is the connection."""
    return _NUMBER.pack(4 << 8 | WINDOW_UPDATE, 0, stream_id, increment)


def goaway(last_id: int, code: int, reason: bytes = b"") -> bytes:
    """A GOAWAY frame."""
    return _GOAWAY.pack(8 + len(reason) << 8 | GOAWAY, 0, 0, last_id, code) + reason
