"""HTTP/2 frames: numbers and bytes, for servers and for the clients that test them (RFC 9113, 6).

A frame starts with 9 bytes: length (24 bits), type (8), flags (8), stream (32, of which the first
is reserved). `FRAME` reads them as three numbers, the first of which is length << 8 | type.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
FRAME: Final = struct.Struct(">IBI")
FRAME_HEAD_BYTES: Final = 9
FRAME_BYTES_MAX: Final = 16_384
"""Of a payload: the protocol's default, and its least. Both directions keep to it."""
STREAM_ID_MAX: Final = 2**31 - 1

DATA: Final = 0
HEADERS: Final = 1
PRIORITY: Final = 2
RST_STREAM: Final = 3
SETTINGS: Final = 4
PUSH_PROMISE: Final = 5
PING: Final = 6
GOAWAY: Final = 7
WINDOW_UPDATE: Final = 8
CONTINUATION: Final = 9

ACK: Final = 0x1
END_STREAM: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
HAS_PRIORITY: Final = 0x20

SETTINGS_HEADER_TABLE_SIZE: Final = 1
SETTINGS_ENABLE_PUSH: Final = 2
SETTINGS_MAX_CONCURRENT_STREAMS: Final = 3
SETTINGS_INITIAL_WINDOW_SIZE: Final = 4
SETTINGS_MAX_FRAME_SIZE: Final = 5
SETTINGS_MAX_HEADER_LIST_SIZE: Final = 6

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


def header_frames(stream_id: int, block: bytes, *, end_stream: bool) -> bytes:
    """HEADERS, and CONTINUATION where the block is larger than a frame."""
    flags = END_STREAM if end_stream else 0
    if len(block) <= FRAME_BYTES_MAX:
        return frame(HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[at : at + FRAME_BYTES_MAX] for at in range(0, len(block), FRAME_BYTES_MAX)]
    frames = [frame(HEADERS, flags, stream_id, parts[0])]
    frames += [frame(CONTINUATION, 0, stream_id, part) for part in parts[1:-1]]
    frames.append(frame(CONTINUATION, END_HEADERS, stream_id, parts[-1]))
    return b"".join(frames)
