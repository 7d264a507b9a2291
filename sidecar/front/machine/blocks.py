"""Header blocks that a server sends: literals only, so that they depend on no table (RFC 7541).

The very first block of a connection begins with `NO_TABLE`: our encoder's table shrinks to nothing
and stays so, whatever size the peer's settings allow later.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from sidecar.front.errors import Code, Status
from sidecar.front.machine.metadata import encoded, to_base64

NO_TABLE: Final = b"\x20"
_STATUS_200: Final = b"\x88"
_STATUS_INDEX: Final = 8
_CONTENT_TYPE_INDEX: Final = 31
_MESSAGE_CHARACTERS_MAX: Final = 4096


def _integer(value: int, prefix_max: int) -> bytes:
    """An integer whose first byte has no other bits set (RFC 7541, 5.1)."""
    if value < prefix_max:
        return bytes((value,))
    rest = value - prefix_max
    parts = [prefix_max]
    while rest >= 0x80:
        parts.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes((*parts, rest))


def literal(name: bytes | int, value: bytes) -> bytes:
    """A field without indexing; a name in the static table is given by its index there."""
    if isinstance(name, int):
        start = _integer(name, 0x0F)
    else:
        start = b"\x00" + _integer(len(name), 0x7F) + name
    return start + _integer(len(value), 0x7F) + value


def fields(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Several fields."""
    return b"".join(literal(name, value) for name, value in pairs)


GRPC_RESPONSE: Final = _STATUS_200 + literal(_CONTENT_TYPE_INDEX, b"application/grpc")
OK_TRAILERS: Final = literal(b"grpc-status", b"0")
GZIP: Final = literal(b"grpc-encoding", b"gzip")
ACCEPT_ENCODING: Final = literal(b"grpc-accept-encoding", b"identity,gzip")


def status_trailers(status: Status) -> bytes:
    """The trailers of a call that did not end well.

    Raises ValueError for metadata that must not be sent.
    """
    code = status.code if status.code in _CODES else Code.UNKNOWN
    parts = [literal(b"grpc-status", b"%d" % code)]
    if status.message:
        parts.append(literal(b"grpc-message", percent_encoded(status.message)))
    if status.details:
        parts.append(literal(b"grpc-status-details-bin", to_base64(status.details)))
    if status.metadata:
        parts.append(fields(encoded(status.metadata)))
    return b"".join(parts)


_CODES: Final = frozenset(Code)


def percent_encoded(message: str) -> bytes:
    """A status message: bytes of UTF-8 that are not printable ASCII, and "%", become %XX."""
    data = message[:_MESSAGE_CHARACTERS_MAX].encode("utf-8", "replace")
    if data.isascii() and data.decode().isprintable() and b"%" not in data:
        return data
    return b"".join(
        b"%c" % byte if 0x20 <= byte <= 0x7E and byte != 0x25 else b"%%%02X" % byte for byte in data
    )


def http_response(status: int, more: Iterable[tuple[bytes, bytes]] = ()) -> bytes:
    """The head of a plain HTTP response with a text body."""
    return (
        literal(_STATUS_INDEX, b"%d" % status)
        + literal(_CONTENT_TYPE_INDEX, b"text/plain; charset=utf-8")
        + fields(more)
    )
