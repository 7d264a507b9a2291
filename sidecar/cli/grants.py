"""`tallyd grants`: shows what a company has of its own, beside what it bought."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import click

from sidecar.api.catalog.v1 import catalog_pb2
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import examples
from sidecar.cli.grant_values import change_text
from sidecar.cli.output import NOTHING, Cell, Painted
from sidecar.cli.servers import connect
from sidecar.cli.subscription_calls import Call, call_options, company_argument
from sidecar.cli.times import local_minute, until
from sidecar.shared.api_json import instant_of, json_of_message
from sidecar.shared.wall_clock import wall_us

_TITLES: Final = ("id", "feature", "change", "since", "until", "in force", "reason")


@click.command(epilog=examples("tallyd grants acme"))
@company_argument
@call_options
def command(call: Call) -> None:
    """Show what COMPANY was granted of its own: by calls, with their ids, and by a file."""
    with connect("control", call.address) as channel:
        stub = control_pb2_grpc.ControlServiceStub(channel)
        request = control_pb2.GetCompanyRequest(company=call.company, accepts_spans=True)
        overrides = stub.GetCompany(request, timeout=call.timeout_s).company.overrides
    now_us = wall_us()
    if call.as_json:
        told = [
            {**json_of_message(override), "in_force": not _is_over(override, now_us)}
            for override in overrides
        ]
        output.print_json({"overrides": told})
    elif overrides:
        output.print_table(_TITLES, _rows(overrides, now_us), tight=True)
    else:
        output.print_line(f"{output.printable(call.company)} was granted nothing of its own")


def _rows(overrides: Iterable[catalog_pb2.Override], now_us: int) -> Iterable[list[Cell]]:
    for override in overrides:
        entitlement = override.entitlement
        granted = override.HasField("granted_at")
        ends = override.HasField("expires_at")
        over = _is_over(override, now_us)
        yield [
            entitlement.id or NOTHING,
            entitlement.feature,
            change_text(entitlement),
            local_minute(instant_of(override.granted_at)) if granted else "by file",
            until(instant_of(override.expires_at), now_us) if ends else "revoked",
            Painted("over", "bright_black") if over else Painted("yes", "green"),
            override.reason or NOTHING,
        ]


def _is_over(override: catalog_pb2.Override, now_us: int) -> bool:
    return override.HasField("expires_at") and instant_of(override.expires_at) <= now_us
