"""What a call's details say of its error; where they say nothing sensible, nothing is believed."""

from __future__ import annotations

from typing import cast

import grpc
import pytest
from google.protobuf.any_pb2 import Any
from google.rpc import error_details_pb2, status_pb2

from sidecar.shared.call_errors import error_info

NOT_FOUND: int = grpc.StatusCode.NOT_FOUND.value[0]


class FailedCall:
    """As much of a call as is looked at."""

    def __init__(self, details: bytes) -> None:
        self._details = details

    def code(self) -> grpc.StatusCode:
        return grpc.StatusCode.NOT_FOUND

    def details(self) -> str:
        return "no"

    def trailing_metadata(self) -> tuple[tuple[str, bytes], ...]:
        return (("grpc-status-details-bin", self._details),)


def status(code: int, detail: Any) -> bytes:
    return bytes(status_pb2.Status(code=code, message="no", details=[detail]).SerializeToString())


def packed() -> Any:
    detail = Any()
    detail.Pack(error_details_pb2.ErrorInfo(reason="UNKNOWN_COMPANY"))
    return detail


def found_in(details: bytes) -> error_details_pb2.ErrorInfo | None:
    return error_info(cast("grpc.Call", FailedCall(details)))


def test_the_reason_is_among_the_details() -> None:
    info = found_in(status(NOT_FOUND, packed()))
    assert info is not None
    assert "UNKNOWN_COMPANY" == info.reason


@pytest.mark.parametrize(
    "details",
    [
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(status(99, packed()), id="another status"),
        pytest.param(status(NOT_FOUND, Any(type_url=packed().type_url, value=b"\xff")), id="odd"),
        pytest.param(status(NOT_FOUND, Any(type_url="x/y.Z", value=b"\xff")), id="unknown"),
    ],
)
def test_details_that_make_no_sense_say_nothing(details: bytes) -> None:
    assert found_in(details) is None
