"""`tallyd revoke`: takes back what a company was granted of its own."""

from __future__ import annotations

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import examples
from sidecar.cli.grant_values import change_text
from sidecar.cli.servers import connect
from sidecar.cli.subscription_calls import Call, call_options, company_argument


@click.command(epilog=examples("tallyd revoke acme 01ke2v7q3xw"))
@company_argument
@click.argument("id_", metavar="ID")
@call_options
def command(call: Call, id_: str) -> None:
    """Take back what COMPANY was granted as ID; `tallyd grants` shows the ids."""
    request = control_pb2.RevokeOverrideRequest(company=call.company, id=id_)
    with connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        answer = stub.RevokeOverride(request, timeout=call.timeout_s)
    if call.as_json:
        output.print_message(answer)
        return
    entitlement = answer.override.entitlement
    told = output.printable(f"{entitlement.feature}: {change_text(entitlement)}")
    company = output.printable(call.company)
    output.print_line(f"{company}: no more {told}; revision {answer.revision}")
