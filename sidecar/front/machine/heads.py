"""The head of a request: what its header block says, checked and understood once.

A request that breaks RFC 9113, 8.3 is malformed (a stream error). One that is HTTP but not gRPC,
or not one that this server can answer, carries the `Refusal` that answers it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from sidecar.front.errors import Code, ErrorCode, Status, StreamFault
from sidecar.front.machine import fields as roles
from sidecar.front.machine.blocks import (
    ACCEPT_ENCODING,
    GRPC_RESPONSE,
    http_response,
    status_trailers,
)
from sidecar.front.machine.fields import HeaderField
from sidecar.front.machine.hpackreader import list_bytes
from sidecar.front.methods import Method

_REQUIRED: Final = (roles.METHOD, roles.SCHEME, roles.PATH)
_DIGITS_MAX: Final = 8
_UNIT_SECONDS: Final = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_LEAST_SECONDS: Final = 1e-9
_LENGTH: Final = re.compile(rb"[0-9]{1,18}")
IDENTITY: Final = b"identity"
GZIP: Final = b"gzip"


class Refusal(NamedTuple):
    """The whole answer to a request that no method gets to see.

    `waits`: answer once the request has come to its end, as HTTP servers do.
    """

    block: bytes
    body: bytes
    waits: bool


def grpc_refusal(status: Status, more: bytes = b"") -> Refusal:
    """An answer of trailers only."""
    return Refusal(GRPC_RESPONSE + more + status_trailers(status), b"", waits=False)


_NOT_POST: Final = Refusal(
    http_response(405, ((b"allow", b"POST"),)), b"This server speaks gRPC: use POST.\n", waits=True
)
_HEAD: Final = _NOT_POST._replace(body=b"")  # asks for no content
_NOT_GRPC: Final = Refusal(
    http_response(415), b"This server speaks gRPC: use application/grpc.\n", waits=True
)
_UNKNOWN_METHOD: Final = grpc_refusal(Status(Code.UNIMPLEMENTED, "Method not found!"))
_NO_TE: Final = grpc_refusal(
    Status(Code.INTERNAL, "te: trailers is missing; something on the way does not speak gRPC")
)
_BAD_TIMEOUT: Final = grpc_refusal(Status(Code.INTERNAL, "malformed grpc-timeout"))
TOO_LARGE: Final = grpc_refusal(
    Status(Code.RESOURCE_EXHAUSTED, "received metadata size exceeds the limit")
)


class RequestHead:
    """A request's head. Immutable; shared by all calls whose header blocks are equal.

    list_bytes: of all fields as RFC 9113 counts them, which is about what they take in memory.
    timeout_seconds: of grpc-timeout; 0.0 without. usual: the head of a call that may be answered
    without a look at anything else here.
    """

    __slots__ = (
        "accepts_gzip",
        "answers_at_once",
        "content_length",
        "custom",
        "encoding",
        "list_bytes",
        "method",
        "path",
        "refusal",
        "streams_request",
        "timeout_seconds",
        "usual",
    )

    def __init__(self, fields: Sequence[HeaderField], methods: Mapping[bytes, Method]) -> None:
        values = _checked(fields)
        self.list_bytes = list_bytes(fields)
        self.path = values[roles.PATH]
        self.method = methods.get(self.path)
        self.custom = tuple((name, value) for name, value, role in fields if role == roles.CUSTOM)
        self.content_length = _content_length(values.get(roles.CONTENT_LENGTH))
        self.encoding = values.get(roles.ENCODING, IDENTITY)
        self.accepts_gzip = GZIP in values.get(roles.ACCEPT_ENCODING, b"").replace(b" ", b"").split(
            b","
        )
        timeout = values.get(roles.TIMEOUT)
        self.timeout_seconds = 0.0 if timeout is None else timeout_seconds(timeout)
        self.refusal = self._refusal(values)
        method = self.method
        self.streams_request = method is not None and method.streams_request
        self.answers_at_once = method is not None and method.answers_at_once
        self.usual = self.answers_at_once and self.refusal is None and self.content_length is None

    def with_custom(self, custom: tuple[tuple[bytes, bytes], ...]) -> RequestHead:
        """The same but for custom metadata."""
        head = RequestHead.__new__(RequestHead)
        for name in _ALIKE:
            setattr(head, name, getattr(self, name))
        head.custom = custom
        return head

    def count_ending(self, code: int) -> None:
        """Count a call of its method that has ended."""
        if self.method is not None:
            endings = self.method.endings
            endings[code if 0 <= code < len(endings) else Code.UNKNOWN] += 1

    def _refusal(self, values: Mapping[int, bytes]) -> Refusal | None:
        if values[roles.METHOD] != b"POST":
            return _HEAD if values[roles.METHOD] == b"HEAD" else _NOT_POST
        if not _is_grpc(values.get(roles.CONTENT_TYPE, b"")):
            return _NOT_GRPC
        if roles.TE not in values:
            return _NO_TE
        if self.timeout_seconds < 0:
            return _BAD_TIMEOUT
        if self.method is None:
            return _UNKNOWN_METHOD
        if self.encoding not in (IDENTITY, GZIP):
            text = f"grpc-encoding {self.encoding.decode('ascii', 'replace')} is not supported"
            return grpc_refusal(Status(Code.UNIMPLEMENTED, text), ACCEPT_ENCODING)
        return None


_ALIKE: Final = tuple(name for name in RequestHead.__slots__ if name != "custom")


def _checked(fields: Sequence[HeaderField]) -> dict[int, bytes]:
    """The values by role, once the fields have passed RFC 9113, 8.2 and 8.3."""
    values: dict[int, bytes] = {}
    regular = False
    for field in fields:
        role = field.role
        if role <= roles.PSEUDO_MAX:
            if regular or role in values:
                raise _malformed(field)
        else:
            regular = True
            if role == roles.MALFORMED:
                raise _malformed(field)
        values[role] = field.value
    if not all(role in values for role in _REQUIRED):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "request without a pseudo-header field")
    return values


def check_trailers(fields: Sequence[HeaderField]) -> None:
    """What may come after a request's content: no pseudo-header fields, nothing malformed."""
    for field in fields:
        if field.role <= roles.PSEUDO_MAX or field.role == roles.MALFORMED:
            raise _malformed(field)


def timeout_seconds(value: bytes) -> float:
    """A grpc-timeout, more than nothing; -1.0 for a malformed one."""
    digits, unit = value[:-1], _UNIT_SECONDS.get(value[-1:])
    if unit is None or len(digits) > _DIGITS_MAX or not digits.isdigit():
        return -1.0
    return int(digits) * unit or _LEAST_SECONDS


def _content_length(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not _LENGTH.fullmatch(value):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "malformed content-length")
    return int(value)


def _is_grpc(content_type: bytes) -> bool:
    return content_type == b"application/grpc" or content_type.startswith(
        (b"application/grpc+", b"application/grpc;")
    )


def _malformed(field: HeaderField) -> StreamFault:
    return StreamFault(ErrorCode.PROTOCOL_ERROR, f"malformed request: field {field.name[:64]!r}")
