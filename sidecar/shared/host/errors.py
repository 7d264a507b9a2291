"""Errors of hosted methods as gRPC statuses, whatever carries them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

import msgspec
import structlog
from google.rpc import code_pb2, status_pb2

from sidecar.domain.errors import FieldError

_INTERNAL: Final[int] = code_pb2.INTERNAL

log = structlog.get_logger(__name__)

RichStatus: TypeAlias = Callable[[FieldError], status_pb2.Status]
"""What a `FieldError` is as `google.rpc.Status`; `convert.status` has it."""


class CallFailed(Exception):
    """A method ends its call with a status that is no `FieldError`'s. `code`: of gRPC."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class CallStatus(msgspec.Struct, frozen=True):
    """How a call failed. `details`: a serialised `google.rpc.Status`; empty where there is none."""

    code: int
    message: str
    details: bytes = b""


def status_of(error: Exception, rich: RichStatus) -> CallStatus:
    """The status of whatever a method raised. What is not meant for callers goes to the log."""
    if isinstance(error, FieldError):
        status = rich(error)
        return CallStatus(status.code, status.message, status.SerializeToString())
    if isinstance(error, CallFailed):
        return CallStatus(error.code, error.message)
    log.error("rpc.failed", exc_info=error)
    return CallStatus(_INTERNAL, "internal error; see the log")
