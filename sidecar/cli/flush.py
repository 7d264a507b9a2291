"""`tallyd flush`: sends what waits in a sidecar's outbox."""

from __future__ import annotations

import click
from google.protobuf.duration_pb2 import Duration

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import ExitCode, examples, json_option, sidecar_option, timeout_option
from sidecar.cli.servers import connect
from sidecar.domain.time.units import MILLISECOND_US
from sidecar.shared.convert.times import duration

ANSWER_MARGIN_S = 2.0
"""The server waits as long as it was told; its answer takes a little longer."""


@click.command(
    epilog=examples(
        "tallyd flush",
        "tallyd flush --timeout 30s --json",
    )
)
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(ctx: click.Context, sidecar_address: str, timeout_s: float, as_json: bool) -> None:
    """Send waiting usage to the control plane, and wait until it is there.

    Ends with 1 when something still waits after --timeout (at most 60 s).
    """
    with connect("sidecar", sidecar_address) as channel:
        stub = admin_pb2_grpc.AdminServiceStub(channel)
        request = admin_pb2.FlushRequest(timeout=duration_of(timeout_s))
        answer = stub.Flush(request, timeout=timeout_s + ANSWER_MARGIN_S)
    report(ctx, answer, as_json)


def duration_of(seconds: float) -> Duration:
    """Return it as the API writes it, to the millisecond."""
    return duration(max(1, round(seconds * 1000)) * MILLISECOND_US)


def report(
    ctx: click.Context,
    answer: admin_pb2.FlushResponse | admin_pb2.DrainResponse,
    as_json: bool,
) -> None:
    """Print what came of a flush or a drain; the exit code says whether it is complete."""
    if as_json:
        output.print_message(answer)
    elif answer.complete:
        output.print_line("complete: the control plane has everything")
    else:
        count = output.number(answer.outbox_records)
        output.print_line(f"not complete: {count} records still wait to be sent")
    ctx.exit(ExitCode.OK if answer.complete else ExitCode.NEGATIVE)
