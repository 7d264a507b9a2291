"""The services of a control plane, as what hosts them wants them."""

from __future__ import annotations

from sidecar.api.control.v1 import control_pb2_grpc, credits_pb2_grpc
from sidecar.api.sync.v1 import sync_pb2_grpc
from sidecar.control.rpc.control import ControlServicer
from sidecar.control.rpc.credits import CreditServicer
from sidecar.control.rpc.sync import SyncServicer
from sidecar.shared.host.service import Service
from sidecar.shared.host.servicers import service_of


def hosted_services(
    control: ControlServicer, credit: CreditServicer, sync: SyncServicer
) -> list[Service]:
    """Methods of all services, without gRPC's own."""
    return [
        service_of(control_pb2_grpc.add_ControlServiceServicer_to_server, control),
        service_of(credits_pb2_grpc.add_CreditServiceServicer_to_server, credit),
        service_of(sync_pb2_grpc.add_SyncServiceServicer_to_server, sync),
    ]
