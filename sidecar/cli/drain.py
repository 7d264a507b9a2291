"""`tallyd drain`: gets a sidecar ready to stop."""

from __future__ import annotations

import click

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.cli.common import examples, json_option, sidecar_option, timeout_option
from sidecar.cli.flush import ANSWER_MARGIN_S, duration_of, report
from sidecar.cli.servers import connect


@click.command(
    epilog=examples(
        "tallyd drain",
        "tallyd drain --sidecar 127.0.0.1:7711 --timeout 30s",
    )
)
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(ctx: click.Context, sidecar_address: str, timeout_s: float, as_json: bool) -> None:
    """Turn the sidecar's readiness off, then send waiting usage. Calls are still answered.

    Ends with 1 when something still waits after --timeout (at most 60 s).
    """
    with connect("sidecar", sidecar_address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        request = admin_pb2.DrainRequest(timeout=duration_of(timeout_s))
        answer = stub.Drain(request, timeout=timeout_s + ANSWER_MARGIN_S)
    report(ctx, answer, as_json)
