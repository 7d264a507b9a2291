"""`tallyd doctor`: looks at everything that can be wrong, and says what to try."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
import grpc

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2
from sidecar.cli import output
from sidecar.cli.common import (
    CliError,
    ExitCode,
    control_option,
    examples,
    json_option,
    printable,
    sidecar_option,
    timeout_option_of,
)
from sidecar.cli.doctor_checks import Outcome, Result, graded, path_results, status_results
from sidecar.cli.losses import losses_of, recovery_of, summary
from sidecar.cli.output import Painted, number
from sidecar.cli.servers import connect, health_of
from sidecar.cli.times import span_of
from sidecar.shared.wall_clock import wall_us

_COLOURS: Final = {Outcome.OK: "green", Outcome.WARN: "yellow", Outcome.FAIL: "red"}


@click.command(
    epilog=examples(
        "tallyd doctor",
        "tallyd doctor --store /var/lib/tallyd/sidecar",
        "tallyd doctor --json",
    )
)
@click.option(
    "--store",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="Look at this store's directory too; on the sidecar's own machine.",
)
@sidecar_option
@control_option
@timeout_option_of("2s")
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    store: Path | None,
    sidecar_address: str,
    control_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Find out what is wrong with a sidecar and its surroundings.

    Each check is ok, warn or fail. Ends with 1 when one fails.
    """
    results = list(_results(store, sidecar_address, control_address, timeout_s))
    healthy = all(result.outcome is not Outcome.FAIL for result in results)
    if as_json:
        checks = [
            {"name": name, "outcome": outcome.value, "found": found, "hint": hint or None}
            for name, outcome, found, hint in results
        ]
        output.print_json({"healthy": healthy, "checks": checks})
    else:
        _print(results)
    ctx.exit(ExitCode.OK if healthy else ExitCode.NEGATIVE)


def _results(
    store: Path | None, sidecar_address: str, control_address: str, timeout_s: float
) -> Iterator[Result]:
    status: admin_pb2.GetStatusResponse | None = None
    try:
        with connect("sidecar", sidecar_address) as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            started_ns = time.perf_counter_ns()
            status = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=timeout_s)
            trip_us = (time.perf_counter_ns() - started_ns) // 1000
            found = f"{sidecar_address} answers in {trip_us} us"
            yield Result("sidecar", Outcome.OK, found)
            yield from _health(channel, timeout_s)
    except CliError as error:
        hint = "start it with `tallyd sidecar`, or name another address with --sidecar"
        yield Result("sidecar", Outcome.FAIL, error.message, hint)
    if status is not None:
        yield from status_results(status, wall_us())
    if status is None or not status.standalone:
        yield from _control(control_address, timeout_s)
    if store is not None:
        yield from path_results(store)


def _health(channel: grpc.Channel, timeout_s: float) -> Iterator[Result]:
    liveness = health_of(channel, "liveness", timeout_s)
    outcome = Outcome.OK if liveness == "SERVING" else Outcome.FAIL
    yield graded("liveness", outcome, liveness, "its logs say why; a restart may help")
    readiness = health_of(channel, "readiness", timeout_s)
    outcome = Outcome.OK if readiness == "SERVING" else Outcome.FAIL
    hint = "no check can be answered yet, or it is draining; see `tallyd status`"
    yield graded("readiness", outcome, readiness, hint)


def _control(address: str, timeout_s: float) -> Iterator[Result]:
    name = "control plane, from here"
    try:
        with connect("control", address) as channel:
            started_ns = time.perf_counter_ns()
            health = health_of(channel, "", timeout_s)
            trip_us = (time.perf_counter_ns() - started_ns) // 1000
            lost = losses_of(channel, timeout_s)
            recovery = recovery_of(channel, timeout_s)
    except CliError as error:
        # The sidecar may reach what this machine or user does not.
        yield Result(name, Outcome.WARN, error.message, "name its address with --control")
        return
    outcome = Outcome.OK if health == "SERVING" else Outcome.FAIL
    found = f"{address} says {health} after {span_of(trip_us)}"
    hint = "its database may be in trouble, as on a full disk, or it stops; its log says why"
    yield graded(name, outcome, found, hint)
    if lost.unacknowledged:
        hint = "`tallyd reconcile` shows them; once seen to: --acknowledge-losses"
        yield Result("usage", Outcome.FAIL, f"is gone, {summary(lost)}", hint)
    else:
        yield Result("usage", Outcome.OK, "no loss is known that nobody has acknowledged")
    if recovery is not None:
        yield _recovery(recovery)


def _recovery(recovery: control_pb2.GetLeaseRecoveryResponse) -> Result:
    name = "leases of the control plane"
    if recovery.recovering:
        missing = number(recovery.missing_holders)
        found = f"withheld: its database was restored, and of its sidecars {missing} are missing"
        hint = "`tallyd leases recover` says whom it waits for, and ends it"
        return Result(name, Outcome.WARN, found, hint)
    if recovery.witness_rewrites:
        times = number(recovery.witness_rewrites)
        found = f"the file that knows of them was gone, and was written anew: {times} times"
        hint = "nothing is lost; who deletes or overwrites control.db.leases while it runs?"
        return Result(name, Outcome.WARN, found, hint)
    return Result(name, Outcome.OK, "none are withheld")


def _print(results: list[Result]) -> None:
    for name, outcome, found, hint in results:
        mark = Painted(outcome.value, _COLOURS[outcome])
        output.print_line(
            f"{output.paint(mark.text.ljust(4), mark.colour)}  {name}: {printable(found)}"
        )
        if hint:
            output.print_line(f"      {hint}")
    counts = Counter(result.outcome.value for result in results)
    output.print_line(", ".join(f"{counts[outcome.value]} {outcome.value}" for outcome in Outcome))
