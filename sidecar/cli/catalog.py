"""`tallyd catalog`: what a control plane sells, as a catalog file."""

from __future__ import annotations

import click

from sidecar.api.control.v1 import control_pb2_grpc
from sidecar.cli.common import control_option, examples, json_option, timeout_option_of
from sidecar.cli.exports import Plane, export
from sidecar.cli.servers import connect


@click.group(epilog=examples("tallyd catalog export > catalog.yaml"))
def command() -> None:
    """Look at the catalog; `tallyd apply` changes it."""


@command.command("export")
@click.option("--companies", "with_companies", is_flag=True, help="With all companies, too.")
@control_option
@timeout_option_of("60s")
@json_option
def export_command(
    with_companies: bool, control_address: str, timeout_s: float, as_json: bool
) -> None:
    """Print the catalog as a catalog file, which changes nothing when it is applied.

    What a file does not say, such as what was granted by calls, is told on stderr.
    """
    with connect("control", control_address) as channel:
        plane = Plane(control_pb2_grpc.ControlServiceStub(channel), timeout_s)
        catalog = plane.catalog()
        companies = list(plane.companies()) if with_companies else []
    export(catalog, companies, with_catalog=True, as_json=as_json)
