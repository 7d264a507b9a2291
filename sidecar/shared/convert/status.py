"""Errors as gRPC statuses: the one mapping, for sidecar and control plane alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from google.protobuf import any_pb2
from google.rpc import code_pb2, error_details_pb2, status_pb2

from sidecar.domain.errors import (
    Conflict,
    DataLoss,
    Exhausted,
    FailedPrecondition,
    FieldError,
    InvalidInput,
    NotFound,
    OutOfRange,
    Unavailable,
)

ERROR_DOMAIN: Final = "tallyd"

_INTERNAL: Final[int] = code_pb2.INTERNAL
_CODES: Final[Mapping[type[FieldError], int]] = {
    InvalidInput: code_pb2.INVALID_ARGUMENT,
    NotFound: code_pb2.NOT_FOUND,
    FailedPrecondition: code_pb2.FAILED_PRECONDITION,
    OutOfRange: code_pb2.OUT_OF_RANGE,
    Conflict: code_pb2.ALREADY_EXISTS,
    Exhausted: code_pb2.RESOURCE_EXHAUSTED,
    Unavailable: code_pb2.UNAVAILABLE,
    DataLoss: code_pb2.DATA_LOSS,
}


def code_of(error: FieldError) -> int:
    """The gRPC status code of an error, as a number."""
    for kind in type(error).__mro__:
        if kind in _CODES:
            return _CODES[kind]
    return _INTERNAL


def status_of(
    error: FieldError, details: Mapping[str, str] | None = None, code: int | None = None
) -> status_pb2.Status:
    """The status of an error, with `google.rpc.ErrorInfo`: reason, and field in its metadata.

    `details` are further metadata; `code` replaces the usual one.
    """
    info = error_details_pb2.ErrorInfo(domain=ERROR_DOMAIN, reason=error.reason)
    if error.field:
        info.metadata["field"] = error.field
    info.metadata.update(details or {})
    packed = any_pb2.Any()
    packed.Pack(info)
    return status_pb2.Status(
        code=code_of(error) if code is None else code, message=str(error), details=[packed]
    )
