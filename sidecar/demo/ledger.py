"""What the demos show of the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.reconcile import Comparison, print_comparison, reconcile
from sidecar.cli.servers import connect
from sidecar.demo.system import CALL_S_MAX, System, expect


def heading(text: str) -> None:
    """Print a heading."""
    output.print_line()
    output.print_line(output.paint(text, "cyan"))


def reconciled(system: System, *, second: bool = False) -> Comparison:
    """Compare a sidecar and the ledger, print it; `DemoFailed` unless they agree."""
    which = "second sidecar" if second else "sidecar"
    heading(f"Reconciled: what the {which} accepted, and what the ledger has")
    address = system.second_sidecar if second else system.sidecar
    comparison = reconcile(address, system.control, CALL_S_MAX)
    print_comparison(comparison)
    click.echo(json.dumps(comparison.as_dict(), ensure_ascii=False))
    expect(comparison.settled, "the sidecar's usage did not all reach the ledger")
    expect(comparison.difference == 0, "sidecar and ledger differ")
    return comparison


def ledger_sums(system: System, company: str = "") -> Mapping[str, control_pb2.UsageSum]:
    """Return the ledger's sums by feature, of one company or of all."""
    with connect("control", system.control) as channel:
        answer = control_pb2_grpc.ControlServiceStub(channel).QueryUsage(
            control_pb2.QueryUsageRequest(company=company, max_sums=10_000), timeout=CALL_S_MAX
        )
    expect(not answer.truncated, "the ledger has more features than one answer holds")
    return {total.feature: total for total in answer.sums}
