"""Fields of a header block: names, values, and what each is to a gRPC server.

What a field means, and whether it may be in a request at all (RFC 9113, 8.2 and 8.3), is worked out
once, where the field is decoded; header blocks repeat the same fields for ever.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# Roles. Pseudo-header fields are bits, so that a set of them is a number.
METHOD: Final = 1
SCHEME: Final = 2
AUTHORITY: Final = 4
PATH: Final = 8
PSEUDO_MAX: Final = 8
CUSTOM: Final = 16
"""Metadata that a behaviour gets to see."""
HIDDEN: Final = 17
"""Metadata of the protocol that nobody needs."""
TE: Final = 18
CONTENT_TYPE: Final = 19
CONTENT_LENGTH: Final = 20
TIMEOUT: Final = 21
ENCODING: Final = 22
ACCEPT_ENCODING: Final = 23
MALFORMED: Final = 24
"""Must not be in a request."""

_ROLES: Final = {
    b":method": METHOD,
    b":scheme": SCHEME,
    b":authority": AUTHORITY,
    b":path": PATH,
    b"te": TE,
    b"content-type": CONTENT_TYPE,
    b"content-length": CONTENT_LENGTH,
    b"grpc-timeout": TIMEOUT,
    b"grpc-encoding": ENCODING,
    b"grpc-accept-encoding": ACCEPT_ENCODING,
    b"host": HIDDEN,
    # Fields of HTTP/1 connections.
    b"connection": MALFORMED,
    b"keep-alive": MALFORMED,
    b"proxy-connection": MALFORMED,
    b"transfer-encoding": MALFORMED,
    b"upgrade": MALFORMED,
}
_NAME: Final = re.compile(rb"[!#$%&'*+\-.^_`|~0-9a-z]+")
_BAD_VALUE: Final = re.compile(rb"[\x00\r\n]|\A[ \t]|[ \t]\Z")


class HeaderField(NamedTuple):
    """One field of a header block."""

    name: bytes
    value: bytes
    role: int


def field_of(name: bytes, value: bytes) -> HeaderField:
    """A decoded field with its role."""
    return HeaderField(name, value, _role_of(name, value))


def is_sound(value: bytes) -> bool:
    """Whether a field may have this value."""
    return _BAD_VALUE.search(value) is None


def _role_of(name: bytes, value: bytes) -> int:
    if not is_sound(value):
        return MALFORMED
    role = _ROLES.get(name)
    if role is not None:
        if (role == TE and value != b"trailers") or (role == PATH and not value):
            return MALFORMED
        return role
    if not _NAME.fullmatch(name):
        return MALFORMED
    return HIDDEN if name.startswith(b"grpc-") else CUSTOM
