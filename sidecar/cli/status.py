"""`tallyd status`: what a sidecar, or a control plane, is and does."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Final

import click

from sidecar.api.admin.v1 import admin_pb2, admin_pb2_grpc
from sidecar.api.control.v1 import control_pb2, control_pb2_grpc
from sidecar.cli import output
from sidecar.cli.common import (
    DEFAULT_CONTROL,
    AddressType,
    ExitCode,
    examples,
    json_option,
    sidecar_option,
    timeout_option,
)
from sidecar.cli.losses import losses_of
from sidecar.cli.output import Cell, Painted, number
from sidecar.cli.servers import connect, health_of
from sidecar.cli.times import span_of
from sidecar.shared.api_json import enum_name, instant_of
from sidecar.shared.wall_clock import wall_us

_ELSEWHERE: Final = ""
"""Value of a bare --control."""


@click.command(
    epilog=examples(
        "tallyd status",
        "tallyd status --sidecar 127.0.0.1:7711 --json",
        "tallyd status --control",
    )
)
@click.option(
    "--control",
    "control_address",
    is_flag=False,
    flag_value=_ELSEWHERE,
    metavar="[ADDRESS]",
    help=f"Ask a control plane instead; bare: $TALLYD_CONTROL or {DEFAULT_CONTROL}.",
)
@sidecar_option
@timeout_option
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    control_address: str | None,
    sidecar_address: str,
    timeout_s: float,
    as_json: bool,
) -> None:
    """Show what a sidecar is, has and is doing; with --control, whether a control plane is well.

    Ends with 1 when the sidecar or the control plane is not ready, and 3 when it is not reached.
    """
    if control_address is None:
        with connect("sidecar", sidecar_address) as channel:
            stub = admin_pb2_grpc.AdminServiceStub(channel)
            status = stub.GetStatus(admin_pb2.GetStatusRequest(), timeout=timeout_s)
        if as_json:
            output.print_message(status)
        else:
            _print_status(status)
        ready = status.ready
    else:
        address = control_address or os.environ.get("TALLYD_CONTROL") or DEFAULT_CONTROL
        ready = _control_status(AddressType().convert(address, None, ctx), timeout_s, as_json)
    ctx.exit(ExitCode.OK if ready else ExitCode.NEGATIVE)


def _print_status(status: admin_pb2.GetStatusResponse) -> None:
    output.print_facts(_facts(status, wall_us()))
    rows = _feature_rows(status)
    if rows:
        output.print_line()
        titles = ("feature", "records", "quantity", "left of leases")
        shown = titles if status.leases else titles[:3]
        output.print_table(shown, [row[: len(shown)] for row in rows], tight=True)


def _feature_rows(status: admin_pb2.GetStatusResponse) -> list[list[Cell]]:
    """What was accepted of each feature, and what is left of its leases: of credits, levels too."""
    tallies = {tally.feature: tally for tally in status.tallies}
    left = {lease.feature: lease.left for lease in status.leases}
    rows: list[list[Cell]] = []
    for feature in sorted({*tallies, *left}):
        tally = tallies.get(feature)
        counted: list[Cell] = [None, None] if tally is None else [tally.records, tally.quantity]
        rows.append([feature, *counted, left.get(feature)])
    return rows


def _facts(status: admin_pb2.GetStatusResponse, at_us: int) -> Iterable[tuple[str, Cell]]:
    yield "version", status.version
    yield "incarnation", status.incarnation
    yield "ready", Painted("yes", "green") if status.ready else Painted("no", "red")
    if status.draining:
        yield "draining", Painted("yes", "yellow")
    if status.HasField("started_at"):
        yield "running for", span_of(max(0, at_us - instant_of(status.started_at)))
    yield "control plane", _plane(status, at_us)
    if not status.standalone:
        yield "clock offset", f"{number(status.clock_offset_us)} us"
    if status.clock_doubted_us:
        doubted = f"{number(status.clock_doubted_us)} us, not believed yet"
        yield "clock jump", Painted(doubted, "yellow")
    yield "revision", number(status.revision)
    if status.unreadable_companies:
        behind = f"{number(status.unreadable_companies)} companies, whose news cannot be read"
        yield "behind", Painted(behind, "red")
    if not status.standalone:
        yield "leases", f"{number(status.leases_held)} held" if status.leases_in_use else "none"
    yield from _kind_facts(status)
    waiting = f"{number(status.outbox_records)} records, {size_text(status.outbox_bytes)}"
    yield "outbox", waiting
    acknowledged = number(status.acknowledged_sequence)
    yield "sequence", f"{number(status.last_sequence)}, acknowledged to {acknowledged}"
    used, most = size_text(status.store_used_bytes), size_text(status.store_max_bytes)
    yield "store", f"{used} of {most}"
    if status.store_trouble:
        yield "store trouble", Painted(status.store_trouble, "red")
    if status.answers_max_bytes:
        yield "answers", _answers(status)
    if status.disk_bytes:
        free, size = size_text(status.disk_free_bytes), size_text(status.disk_bytes)
        yield "disk", f"{free} free of {size}"
    yield from _damage(status, at_us)
    durability = enum_name(admin_pb2.Durability.DESCRIPTOR, status.durability)
    yield "durability", str(durability).lower()


def _kind_facts(status: admin_pb2.GetStatusResponse) -> Iterable[tuple[str, Cell]]:
    if status.seats_untold:
        untold = f"{number(status.seats_untold)} changes that the control plane is to be told"
        yield "seats", Painted(untold, "yellow")
    if status.level_items_expired:
        yield "levels", f"{number(status.level_items_expired)} items came back by themselves"


def _answers(status: admin_pb2.GetStatusResponse) -> Cell:
    size, most = size_text(status.answers_bytes), size_text(status.answers_max_bytes)
    if not status.HasField("remembered"):
        return f"{size} of {most}"
    span = span_of(status.remembered.ToMicroseconds())
    return Painted(f"{size} of {most}, keys remembered for {span}", "yellow")


def _damage(status: admin_pb2.GetStatusResponse, at_us: int) -> Iterable[tuple[str, Cell]]:
    for found in status.quarantined:
        yield "set aside", Painted(f"{number(found.count)} of kind {found.kind}, damaged", "red")
    for loss in status.losses:
        yield "lost store", Painted(_loss(loss, at_us), "red")


def _loss(loss: admin_pb2.StoreLoss, at_us: int) -> str:
    age = span_of(max(0, at_us - instant_of(loss.noticed_at)))
    unsent = max(0, loss.last_sequence - loss.acknowledged_sequence)
    return (
        f"{loss.incarnation or 'of an unknown incarnation'}, noticed {age} ago: {loss.reason}; "
        f"{number(unsent)} records waited when it was last noted"
    )


def _plane(status: admin_pb2.GetStatusResponse, at_us: int) -> Cell:
    if status.standalone:
        return "none (standalone)"
    heard = "never heard"
    if status.HasField("plane_heard_at"):
        heard = f"heard {span_of(max(0, at_us - instant_of(status.plane_heard_at)))} ago"
    if status.plane_connected:
        return Painted(f"connected, {heard}", "green")
    return Painted(f"not connected, {heard}", "yellow")


def _control_status(address: str, timeout_s: float, as_json: bool) -> bool:
    """Print whether a control plane is well; return that too."""
    started_ns = time.perf_counter_ns()
    with connect("control", address) as channel:
        ready = health_of(channel, "", timeout_s) == "SERVING"
        round_trip_us = (time.perf_counter_ns() - started_ns) // 1000
        control = control_pb2_grpc.ControlServiceStub(channel)
        held = control.GetCatalog(control_pb2.GetCatalogRequest(), timeout=timeout_s)
        lost = losses_of(channel, timeout_s)
    catalog = held.catalog.catalog
    facts: dict[str, object] = {
        "address": address,
        "ready": ready,
        "round_trip_us": round_trip_us,
        "catalog_revision": held.catalog.version if held.HasField("catalog") else None,
        "features": len(catalog.features),
        "plans": len(catalog.plans),
        "losses": lost.unacknowledged,
        "lost_records": lost.lost_records,
    }
    if as_json:
        output.print_json(facts)
    else:
        shown = {**facts, "ready": "yes" if ready else "no"}
        output.print_facts((name.replace("_", " "), _cell(value)) for name, value in shown.items())
    return ready


def _cell(value: object) -> Cell:
    return value if isinstance(value, str | int | None) else str(value)


def size_text(size_bytes: int) -> str:
    """Write a size in its largest binary unit, such as `1.5 MiB`."""
    unit, shift = "bytes", 0
    for name, bits in (("KiB", 10), ("MiB", 20), ("GiB", 30), ("TiB", 40)):
        if size_bytes >> bits:
            unit, shift = name, bits
    tenths = (size_bytes * 10) >> shift
    return f"{tenths // 10}.{tenths % 10} {unit}" if shift else f"{size_bytes} {unit}"
