"""gRPC messages on a stream: a prefix of 5 bytes (compressed or not, length), then the message."""

from __future__ import annotations

import struct
import zlib
from typing import Final

from sidecar.front.errors import Code, Status

PREFIX: Final = struct.Struct(">BI")
PREFIX_BYTES: Final = 5
_GZIP_WINDOW: Final = 31  # zlib's spelling of "gzip, largest window"
_LEVEL: Final = 1
_STEP_BYTES: Final = 128 * 1024
_STEP_INPUT_BYTES: Final = 4 * 1024
"""Input that yields nothing takes its time, too: 4 MiB of empty blocks take half a second."""
STEP_WORK: Final = 128
"""What a step of decompression costs, in units of `Bounds.work_per_turn`."""
MESSAGE_WORK_BYTES: Final = 16
"""Of a message, a unit of work: what takes a handler long is long."""


def packed(message: bytes) -> bytes:
    """A message with its prefix."""
    return PREFIX.pack(0, len(message)) + message


def gzipped(message: bytes) -> bytes:
    """A message, compressed, with its prefix."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _GZIP_WINDOW)
    data = compressor.compress(message) + compressor.flush()
    return PREFIX.pack(1, len(data)) + data


def too_large(size: int, size_max: int) -> Status:
    """The outcome of a call whose request is larger than allowed, in grpcio's words."""
    text = f"SERVER: Received message larger than max ({size} vs. {size_max})"
    return Status(Code.RESOURCE_EXHAUSTED, text)


class Inflation:
    """The decompression of one message, in steps that cost well under a millisecond each.

    size: of the compressed message. Raises Status for what is not gzip, not whole, or larger than
    `size_max` when decompressed.
    """

    __slots__ = ("_at", "_inflater", "_input", "_parts", "_room", "_size_max", "size")

    def __init__(self, data: bytes, size_max: int) -> None:
        self.size = len(data)
        self._inflater = zlib.decompressobj(_GZIP_WINDOW)
        self._input = data
        self._at = 0  # in the input
        self._parts: list[bytes] = []
        self._room = size_max
        self._size_max = size_max

    def step(self) -> bytes | None:
        """The message once it is whole; None while it is not."""
        inflater = self._inflater
        data = inflater.unconsumed_tail
        if not data:
            data = self._input[self._at : self._at + _STEP_INPUT_BYTES]
            self._at += len(data)
        try:
            part = inflater.decompress(data, min(_STEP_BYTES, self._room + 1))
        except zlib.error as error:
            raise Status(Code.INTERNAL, "message that is not gzip") from error
        self._room -= len(part)
        if self._room < 0:
            raise too_large(self._size_max - self._room, self._size_max)
        self._parts.append(part)
        if inflater.eof:
            return b"".join(self._parts)
        if not part and not inflater.unconsumed_tail and self._at == len(self._input):
            raise Status(Code.INTERNAL, "gzip message cut short")
        return None
