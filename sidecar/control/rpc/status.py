"""What the plane's errors are as gRPC statuses."""

from __future__ import annotations

from typing import Final

from google.rpc import code_pb2, status_pb2

from sidecar.control.errors import Fenced, SequenceGap
from sidecar.domain.errors import FieldError
from sidecar.shared.convert.status import status_of

_PRECONDITION: Final[int] = code_pb2.FAILED_PRECONDITION


def status_of_error(error: FieldError) -> status_pb2.Status:
    """The status of an error; what a sidecar must know of it is in ErrorInfo's metadata."""
    if isinstance(error, SequenceGap):
        details = {"expected_sequence": str(error.expected_sequence)}
        return status_of(error, details, _PRECONDITION)
    if isinstance(error, Fenced):
        return status_of(error, {"common_sequence": str(error.common_sequence)}, _PRECONDITION)
    return status_of(error)
