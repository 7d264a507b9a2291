"""Losses that a control plane remembers, for the commands that show them."""

from __future__ import annotations

from typing import Final

import grpc

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import printable
from sidecar.cli.output import Cell, number
from sidecar.cli.times import local_time
from sidecar.shared.api_json import instant_of

SHOWN_MAX: Final = 20


def losses_of(channel: grpc.Channel, timeout_s: float) -> control_pb2.ListLossesResponse:
    """Losses that nobody has acknowledged; none at a plane of an earlier version."""
    control = control_pb2_grpc.ControlServiceStub(channel)
    try:
        return control.ListLosses(control_pb2.ListLossesRequest(), timeout=timeout_s)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return control_pb2.ListLossesResponse()
        raise


def recovery_of(
    channel: grpc.Channel, timeout_s: float
) -> control_pb2.GetLeaseRecoveryResponse | None:
    """How the plane recovers from a loss of what it knew of leases; `None`: it knows no leases."""
    control = control_pb2_grpc.ControlServiceStub(channel)
    try:
        return control.GetLeaseRecovery(control_pb2.GetLeaseRecoveryRequest(), timeout=timeout_s)
    except grpc.RpcError as error:
        if error.code() is grpc.StatusCode.UNIMPLEMENTED:
            return None
        raise


def acknowledge(
    channel: grpc.Channel, seen: control_pb2.ListLossesResponse, timeout_s: float
) -> int:
    """Say that the losses that were shown, and earlier ones, were seen; how many that were."""
    if not seen.losses:
        return 0
    request = control_pb2.AcknowledgeLossesRequest(noticed_until=seen.losses[0].noticed_at)
    control = control_pb2_grpc.ControlServiceStub(channel)
    return control.AcknowledgeLosses(request, timeout=timeout_s).acknowledged


def summary(found: control_pb2.ListLossesResponse) -> str:
    """Say in one line how much is gone."""
    records = f"{number(found.lost_records)} records"
    unknown = any(not loss.first_sequence for loss in found.losses)
    more = " and what stores had not sent" if unknown else ""
    return f"{number(found.unacknowledged)} losses: {records}{more}"


def print_losses(found: control_pb2.ListLossesResponse) -> None:
    """Print losses for people, newest first."""
    if not found.losses:
        return
    output.print_line(f"Usage is gone, {summary(found)}.")
    output.print_table(
        ("noticed", "node", "store", "records", "what was found"),
        map(_row, found.losses[:SHOWN_MAX]),
    )
    if found.unacknowledged > SHOWN_MAX:
        output.print_line(f"and {number(found.unacknowledged - SHOWN_MAX)} more")
    output.print_line("Once it has been seen to: tallyd reconcile --acknowledge-losses")


def _row(loss: control_pb2.Loss) -> list[Cell]:
    records = f"{loss.first_sequence} to {loss.last_sequence}" if loss.first_sequence else "unknown"
    return [
        local_time(instant_of(loss.noticed_at)),
        printable(loss.node),
        loss.incarnation or "unknown",
        records,
        printable(loss.reason),
    ]
