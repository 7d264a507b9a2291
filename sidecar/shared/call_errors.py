"""What a failed gRPC call says of its error, for whoever calls: sidecar, commands, replay."""

from __future__ import annotations

import grpc
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2
from grpc_status import rpc_status


def error_info(call: grpc.Call) -> error_details_pb2.ErrorInfo | None:
    """The `google.rpc.ErrorInfo` among a call's details; `None` where there is none."""
    try:
        status = rpc_status.from_call(call)
    except (ValueError, DecodeError):  # its details contradict the call's status, or are none
        return None
    info = error_details_pb2.ErrorInfo()
    for detail in status.details if status is not None else ():
        try:
            if detail.Unpack(info):
                return info
        except DecodeError:
            return None
    return None
