"""Error codes of HTTP/2, status codes of gRPC, and the exceptions that carry them."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Final


class ErrorCode(enum.IntEnum):
    """Why a stream or a connection ends (RFC 9113, 7)."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class Code(enum.IntEnum):
    """How a call ended (gRPC's status codes)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Status(Exception):
    """The outcome of a call other than OK.

    details: a serialised google.rpc.Status, sent as grpc-status-details-bin. metadata: custom
    trailing metadata; values of names that end with "-bin" are bytes.
    """

    def __init__(
        self,
        code: int,
        message: str = "",
        details: bytes = b"",
        metadata: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.details = details
        self.metadata = metadata


class ConnectionFault(Exception):
    """The peer broke a rule or a bound, and its connection ends.

    kind: what the refusal is counted as.
    """

    def __init__(self, code: ErrorCode, reason: str, kind: str = "protocol_error") -> None:
        super().__init__(reason)
        self.code: Final = code
        self.reason: Final = reason
        self.kind: Final = kind


class StreamFault(Exception):
    """The peer broke a rule or a bound, and the stream ends."""

    def __init__(self, code: ErrorCode, reason: str, kind: str = "protocol_error") -> None:
        super().__init__(reason)
        self.code: Final = code
        self.reason: Final = reason
        self.kind: Final = kind


class HeaderListTooLarge(Exception):
    """A request's fields are larger than allowed, and the connection's state is still whole."""
